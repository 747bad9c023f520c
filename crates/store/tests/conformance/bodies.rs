//! Bodies: large ones in chunks, replaced whole, forgotten when they broke off.

use crate::town::*;
use ringback_callbacks::event::Actor;
use ringback_callbacks::ids::InteractionId;
use ringback_callbacks::interaction::{BodyInfo, BodyKind};
use ringback_store::{AnyInteraction, BODY_CHUNK, BodyOrder, StoreError};
use uuid::Uuid;

fn finish(id: InteractionId, upload: u128, size: u64) -> BodyOrder {
    BodyOrder {
        tenant: tenant(),
        id,
        kind: BodyKind::BinaryContent,
        mime: "application/octet-stream".to_owned(),
        size,
        upload: Uuid::from_u128(upload),
        actor: Actor::Application(5),
        now: later(1),
    }
}

async fn chunk(town: &Town, id: InteractionId, index: u32) -> Option<Vec<u8>> {
    town.store
        .read_body(&tenant(), id, BodyKind::BinaryContent, index)
        .await
        .unwrap()
}

pub async fn twenty_five_mebibytes(town: &Town) {
    town.staffed().await;
    let id = town
        .book("billing", voice(1), monday())
        .await
        .interaction
        .id;
    let upload = Uuid::from_u128(1);
    for index in 0..100u32 {
        town.store
            .append_body(
                &tenant(),
                upload,
                index,
                vec![index as u8; BODY_CHUNK],
                monday(),
            )
            .await
            .unwrap();
    }
    assert_eq!(chunk(town, id, 0).await, None, "nobody sees an upload");
    let done = town
        .store
        .finish_body(finish(id, 1, BodyKind::MAX_SIZE))
        .await
        .unwrap();
    let info = BodyInfo {
        mime: "application/octet-stream".to_owned(),
        size: 25 * 1024 * 1024,
    };
    assert_eq!(done.interaction().bodies.binary_content, Some(info));
    for index in 0..100u32 {
        assert_eq!(
            chunk(town, id, index).await,
            Some(vec![index as u8; BODY_CHUNK]),
            "{index}"
        );
    }
    assert_eq!(chunk(town, id, 100).await, None);
    let callback = town.get_id(id).await;
    assert_eq!(town.story(&callback).await, ["accepted", "body_stored"]);
    assert_eq!(callback.revision, 2);
}

pub async fn a_body_is_replaced_whole(town: &Town) {
    town.staffed().await;
    let id = town
        .book("billing", voice(1), monday())
        .await
        .interaction
        .id;
    for index in 0..3 {
        town.store
            .append_body(&tenant(), Uuid::from_u128(1), index, vec![1; 10], monday())
            .await
            .unwrap();
    }
    town.store.finish_body(finish(id, 1, 30)).await.unwrap();
    town.store
        .append_body(&tenant(), Uuid::from_u128(2), 0, vec![2; 5], monday())
        .await
        .unwrap();
    assert_eq!(
        chunk(town, id, 2).await,
        Some(vec![1; 10]),
        "the old one until the new one is there"
    );
    town.store.finish_body(finish(id, 2, 5)).await.unwrap();
    assert_eq!(chunk(town, id, 0).await, Some(vec![2; 5]));
    assert_eq!(
        chunk(town, id, 1).await,
        None,
        "nothing of the old one is left"
    );
    let again = town
        .store
        .append_body(&tenant(), Uuid::from_u128(2), 1, vec![2; 5], monday())
        .await;
    assert_eq!(conflict(again), (Some("body"), "chunk_order"));
    assert_eq!(
        conflict(town.store.finish_body(finish(id, 2, 5)).await),
        (Some("body"), "finished")
    );
    town.is_healthy().await;
}

pub async fn chunks_in_order_within_limits(town: &Town) {
    town.staffed().await;
    let id = town
        .book("billing", voice(1), monday())
        .await
        .interaction
        .id;
    let upload = Uuid::from_u128(1);
    let gap = town
        .store
        .append_body(&tenant(), upload, 1, vec![1; 10], monday())
        .await;
    assert_eq!(conflict(gap), (Some("body"), "chunk_order"));
    let large = town
        .store
        .append_body(&tenant(), upload, 0, vec![1; BODY_CHUNK + 1], monday())
        .await;
    assert_eq!(conflict(large), (Some("body"), "chunk_size"));
    for index in 0..100 {
        town.store
            .append_body(&tenant(), upload, index, vec![0; BODY_CHUNK], monday())
            .await
            .unwrap();
    }
    let more = town
        .store
        .append_body(&tenant(), upload, 100, vec![0; 1], monday())
        .await;
    assert_eq!(conflict(more), (Some("body"), "too_large"));
    assert_eq!(
        conflict(town.store.finish_body(finish(id, 1, 7)).await),
        (Some("body"), "size")
    );
    let nobody = finish(InteractionId(Uuid::from_u128(9)), 1, BodyKind::MAX_SIZE);
    assert!(matches!(
        town.store.finish_body(nobody).await,
        Err(StoreError::NotFound("interaction"))
    ));
    assert_eq!(town.get_id(id).await.revision, 1);
}

pub async fn an_empty_body(town: &Town) {
    town.staffed().await;
    let id = town
        .book("billing", voice(1), monday())
        .await
        .interaction
        .id;
    let done = town.store.finish_body(finish(id, 1, 0)).await.unwrap();
    assert_eq!(
        done.interaction()
            .bodies
            .binary_content
            .as_ref()
            .map(|info| info.size),
        Some(0)
    );
    assert_eq!(chunk(town, id, 0).await, None);
}

pub async fn a_body_of_another_kind(town: &Town) {
    let call = town.recorded(None).await;
    town.store
        .append_body(&tenant(), Uuid::from_u128(1), 0, vec![1; 10], monday())
        .await
        .unwrap();
    town.store
        .finish_body(finish(call.id, 1, 10))
        .await
        .unwrap();
    assert_eq!(chunk(town, call.id, 0).await, Some(vec![1; 10]));
    match town.store.interaction(&tenant(), call.id).await.unwrap() {
        Some(AnyInteraction::Other(other)) => {
            assert_eq!(other.revision, 2);
            assert_eq!(
                other
                    .interaction
                    .bodies
                    .binary_content
                    .map(|info| info.size),
                Some(10)
            );
        }
        other => panic!("the recorded call, not {other:?}"),
    }
    town.is_healthy().await;
}

pub async fn what_broke_off_is_forgotten(town: &Town) {
    town.staffed().await;
    let id = town
        .book("billing", voice(1), monday())
        .await
        .interaction
        .id;
    town.store
        .append_body(&tenant(), Uuid::from_u128(1), 0, vec![1; 10], monday())
        .await
        .unwrap();
    town.store
        .append_body(&tenant(), Uuid::from_u128(2), 0, vec![2; 10], monday())
        .await
        .unwrap();
    town.store.finish_body(finish(id, 2, 10)).await.unwrap();
    town.store
        .append_body(&tenant(), Uuid::from_u128(3), 0, vec![3; 10], monday())
        .await
        .unwrap();
    town.store
        .drop_body(&tenant(), Uuid::from_u128(3))
        .await
        .unwrap();
    town.store
        .drop_body(&tenant(), Uuid::from_u128(2))
        .await
        .unwrap();
    assert_eq!(
        chunk(town, id, 0).await,
        Some(vec![2; 10]),
        "a body is not an upload any more"
    );
    assert_eq!(town.store.prune(later(3600)).await.unwrap(), 0);
    assert_eq!(town.store.prune(later(25 * 3600)).await.unwrap(), 1);
    assert_eq!(
        conflict(town.store.finish_body(finish(id, 1, 10)).await),
        (Some("body"), "size")
    );
    assert_eq!(chunk(town, id, 0).await, Some(vec![2; 10]));
}
