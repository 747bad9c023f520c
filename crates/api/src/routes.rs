//! Every route on one page.

use crate::{
    ApiState, agents, callbacks, customers, document, events, gate, interactions, operations,
    queues,
};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The whole API, ready to be served (with `into_make_service_with_connect_info`, for the peer's address).
pub fn router(state: ApiState) -> Router {
    let brisk = brisk().layer(from_fn_with_state(state.clone(), gate::load::shed));
    let (routes, _) = brisk.merge(patient()).split_for_parts();
    let limited = routes.layer(from_fn_with_state(state.clone(), gate::rate::limit));
    let (vital, _) = vital().split_for_parts();
    limited
        .merge(vital)
        // Bodies are limited where they are read, to what each may have.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(state.clone(), gate::record::record))
        .with_state(state)
}

/// All routes with their documentation.
pub(crate) fn documented() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(document::frame())
        .merge(brisk())
        .merge(patient())
        .merge(vital())
}

/// Requests that are answered at once: they count as load and have a limit of time.
fn brisk() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(
            callbacks::list::list_callbacks,
            callbacks::create::create_callback
        ))
        .routes(routes!(callbacks::validate::validate_callback))
        .routes(routes!(
            callbacks::get::get_callback,
            callbacks::change::change_callback
        ))
        .routes(routes!(callbacks::cancel::cancel_callback))
        .routes(routes!(callbacks::reschedule::reschedule_callback))
        .routes(routes!(callbacks::snooze::snooze_callback))
        .routes(routes!(callbacks::transfer::transfer_callback))
        .routes(routes!(callbacks::dispose::dispose_callback))
        .routes(routes!(callbacks::reply::reply_to_callback))
        .routes(routes!(callbacks::attempts::list_attempts))
        .routes(routes!(callbacks::why::why_callback))
        .routes(routes!(
            interactions::list::list_interactions,
            interactions::record::record_interaction
        ))
        .routes(routes!(interactions::get::get_interaction))
        .routes(routes!(interactions::children::list_children))
        .routes(routes!(queues::list::list_queues))
        .routes(routes!(
            queues::get::get_queue,
            queues::put::put_queue,
            queues::remove::remove_queue
        ))
        .routes(routes!(queues::switch::pause_queue))
        .routes(routes!(queues::switch::resume_queue))
        .routes(routes!(queues::slots::list_slots))
        .routes(routes!(queues::holds::hold_slot))
        .routes(routes!(queues::holds::release_hold))
        .routes(routes!(queues::estimate::estimate_queue))
        .routes(routes!(queues::live::report_live))
        .routes(routes!(
            queues::learned::get_learned,
            queues::learned::put_learned,
            queues::learned::forget_learned
        ))
        .routes(routes!(agents::list::list_agents))
        .routes(routes!(
            agents::get::get_agent,
            agents::put::put_agent,
            agents::remove::remove_agent
        ))
        .routes(routes!(agents::presence::put_presence))
        .routes(routes!(agents::answer::accept_offer))
        .routes(routes!(agents::answer::decline_offer))
        .routes(routes!(agents::callbacks::agent_callbacks))
        .routes(routes!(customers::list::list_customers))
        .routes(routes!(
            customers::get::get_customer,
            customers::change::patch_customer
        ))
        .routes(routes!(customers::do_not_call::put_do_not_call))
        .routes(routes!(customers::interactions::customer_interactions))
        .routes(routes!(operations::routes::list_routes))
        .routes(routes!(operations::document::get_openapi))
        .routes(routes!(operations::pages::index_page))
        .routes(routes!(operations::pages::reference_page))
        .routes(routes!(operations::pages::problem_page))
}

/// Streams, long polls, uploads and downloads: they take a place among the streams instead, and have limits of their own.
fn patient() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(callbacks::events::callback_events))
        .routes(routes!(events::follow::follow_events))
        .routes(routes!(agents::offers::list_offers))
        .routes(routes!(
            interactions::body_get::get_body,
            interactions::body_put::put_body
        ))
}

/// What must be answered however busy the server is.
fn vital() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(operations::health::healthz))
        .routes(routes!(operations::health::readyz))
        .routes(routes!(operations::metrics::get_metrics))
}
