//! What every store must do, whichever database is behind it: one suite, one fixture per database.
//!
//! A case is a function over an open store. To run the suite over another database, add a fixture to
//! `town.rs` and a line to `conformance!`.

mod bodies;
mod booking;
mod claims;
mod duplicates;
mod durable;
mod lapses;
mod operations;
mod path;
mod random;
mod reading;
mod roster;
mod shares;
mod slots;
mod town;
mod windows;

macro_rules! conformance {
    ($($file:ident { $($case:ident),+ $(,)? })+) => {
        conformance!(@over sqlite_file, $($file { $($case),+ })+);
        conformance!(@over sqlite_memory, $($file { $($case),+ })+);
        conformance!(@over postgres, $($file { $($case),+ })+);
    };
    (@over $fixture:ident, $($file:ident { $($case:ident),+ })+) => {
        mod $fixture {
            $(mod $file {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    crate::$file::$case(&crate::town::$fixture().await).await;
                })+
            })+
        }
    };
}

conformance! {
    booking {
        everything_is_there,
        the_same_key_gets_the_same_answer,
        the_same_key_with_another_request_is_refused,
        keys_of_two_applications_never_meet,
        an_answer_is_kept_for_its_time,
        sixty_four_at_once,
        asking_only_writes_nothing,
        the_same_number_finds_the_same_customer,
        a_named_customer_is_made,
        a_contact_stays_with_its_customer,
        do_not_call_is_refused,
        do_not_call_holds_for_the_number,
        a_parent_must_take_children,
        children_join_the_thread,
        the_new_one_replaces_the_old,
        what_is_over_cannot_be_replaced,
        a_queue_must_take_it,
        an_id_is_used_once,
        tenants_never_meet,
    }
    duplicates {
        a_second_request_is_added_to_the_first,
        what_brings_nothing_new_changes_nothing,
        many_at_once_are_one,
        a_merged_request_can_be_repeated,
        joining_keeps_the_place,
        while_in_a_call_they_are_merged,
        what_is_as_good_as_over_takes_nothing_in,
        a_second_one_is_turned_away,
        a_wish_not_to_be_called_stands_against_merging,
    }
    path {
        a_whole_call,
        busy_is_tried_again,
        the_expected_revision,
        a_command_can_be_repeated,
        a_declined_offer,
        an_unanswered_offer,
        a_late_holder_changes_nothing,
        cancelling_frees_the_agent,
        cancelling_in_mid_call_waits_for_the_outcome,
        passing_on_to_an_agent,
        passing_on_to_a_queue,
        a_letter_by_template,
        a_letter_by_an_agent,
        the_agent_knows_better,
        legs_are_noted_by_the_holder,
        one_pair_of_hands,
        a_replaced_claim_is_gone,
    }
    claims {
        nothing_before_its_time,
        says_when_to_look_again,
        two_nodes_never_hold_the_same,
        an_agent_in_two_queues_gets_one,
        places_at_a_dn,
        places_of_the_node,
        the_order_of_service,
        the_longest_idle_first,
        phones_without_a_desk_are_not_asked,
        one_call_per_number,
        a_paused_queue_waits,
        a_pick_that_has_left_the_queue_is_not_seated_there,
        a_removed_queue_ends_its_callbacks,
        who_is_held_takes_no_seat,
        a_bounded_bite,
        the_window_ends,
        passed_on_to_one_agent_only,
        letters_need_somebody_to_write_them,
        calls_per_day,
        the_owner_is_asked_first,
    }
    lapses {
        leases_are_lengthened,
        a_lapsed_claim_changes_hands,
        an_earlier_run_leaves_at_once,
        claims_of_others_can_be_left_alone,
        what_was_in_the_air_comes_along,
    }
    reading {
        every_filter,
        pages_stay_put,
        words_are_found,
        every_kind_of_interaction,
        events_in_commit_order,
        why_not_yet,
        how_many_wait,
        what_was_changed_is_found,
    }
    bodies {
        twenty_five_mebibytes,
        a_body_is_replaced_whole,
        chunks_in_order_within_limits,
        an_empty_body,
        a_body_of_another_kind,
        what_broke_off_is_forgotten,
    }
    roster {
        queues_have_revisions,
        agents_have_revisions,
        presence_is_not_configuration,
        a_busy_agent_is_not_removed,
        customers_have_revisions,
        a_contact_has_one_owner,
        customers_by_name,
        keys_by_their_hash,
    }
    slots {
        a_wanted_time_takes_a_place,
        as_soon_as_possible_takes_none,
        the_last_place_is_sold_once,
        what_ends_gives_its_place_back,
        moving_moves_the_place,
        a_full_slot_refuses_the_move,
        other_changes_keep_the_place,
        the_new_one_has_the_place_of_the_old,
        who_asks_again_has_no_second_place,
        a_hold_keeps_a_place,
        a_hold_ends_by_the_clock,
        what_is_over_is_free_a_moment_later,
        a_hold_is_used_once,
        what_is_refused_keeps_its_hold,
        limits_of_day_and_customer,
        places_go_along_to_another_queue,
        the_customers_own_clock,
        a_queue_without_slots,
        many_at_once_never_more_than_there_is,
    }
    shares {
        parts_of_a_route_never_exceed_it,
        what_a_node_cannot_use_is_for_the_others,
        a_node_that_says_nothing_loses_its_part,
        many_at_once_never_more_than_the_limit,
    }
    operations {
        signals_come_after_the_commit,
        a_healthy_store,
        a_closed_store,
    }
}
