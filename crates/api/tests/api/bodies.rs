//! Bodies: in and out chunk by chunk, 25 MiB and not a byte more.

use crate::house::{House, id_of};
use axum::body::{Body, Bytes};
use futures::{StreamExt, stream};
use serde_json::json;
use std::io;

const LIMIT: usize = 25 * 1024 * 1024;

/// A body of `size` bytes that never exists as a whole, each byte telling its place.
fn pieces(size: usize) -> Body {
    const PIECE: usize = 100_000;
    let count = size.div_ceil(PIECE);
    Body::from_stream(stream::iter(0..count).map(move |index| {
        let begin = index * PIECE;
        let end = (begin + PIECE).min(size);
        Ok::<_, io::Error>((begin..end).map(byte_at).collect::<Bytes>())
    }))
}

fn byte_at(place: usize) -> u8 {
    (place % 251) as u8
}

#[tokio::test]
async fn put_and_get() {
    let house = House::new().await;
    let callback = house.book(json!({})).await;
    let id = id_of(&callback);
    let table = [
        ("plain_text", "text/plain; charset=utf-8", "Grüße", "inline"),
        (
            "structured_text",
            "text/html",
            "<script>alert(1)</script>",
            "attachment",
        ),
        ("binary_content", "image/png", "\u{1}\u{2}", "attachment"),
    ];
    for (name, mime, text, disposition) in table {
        let path = format!("/v1/interactions/{id}/{name}");
        house.get(&path).send().await.problem(404, "not_found");
        let view = house.put(&path).body(mime, text).send().await.ok();
        assert!(view["revision"].as_u64() > callback["revision"].as_u64());
        let read = house.get(&path).send().await;
        assert_eq!((read.status.as_u16(), read.text().as_str()), (200, text));
        assert_eq!(read.header("content-type"), mime);
        assert_eq!(read.header("content-length"), text.len().to_string());
        assert_eq!(read.header("x-content-type-options"), "nosniff");
        assert_eq!(
            read.header("content-security-policy"),
            "sandbox; default-src 'none'"
        );
        assert!(read.header("content-disposition").starts_with(disposition));
    }
    let view = house.callback(&id).await;
    assert_eq!(view["text"], format!("/v1/interactions/{id}/plain_text"));
    assert_eq!(view["structured_text_mime"], "text/html");
    assert_eq!(
        (&view["binary_content_mime"], &view["binary_content_size"]),
        (&json!("image/png"), &json!(2))
    );
    // A new one takes the place of the old; an empty one is a body too.
    house
        .put(&format!("/v1/interactions/{id}/plain_text"))
        .body("text/plain", "")
        .send()
        .await
        .ok();
    assert_eq!(
        house
            .get(&format!("/v1/interactions/{id}/plain_text"))
            .send()
            .await
            .text(),
        ""
    );
    let events = house
        .get(&format!("/v1/callbacks/{id}/events"))
        .send()
        .await
        .ok();
    let stored = events["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["kind"] == "body_stored")
        .count();
    assert_eq!(stored, 4);
}

#[tokio::test]
async fn the_largest_body_comes_back_whole() {
    let house = House::new().await;
    let id = id_of(&house.book(json!({})).await);
    let path = format!("/v1/interactions/{id}/binary_content");
    let view = house
        .put(&path)
        .body("application/octet-stream", pieces(LIMIT))
        .send()
        .await
        .ok();
    assert_eq!(view["binary_content_size"], LIMIT);
    let response = house.get(&path).open().await;
    let mut place = 0;
    let mut largest = 0;
    let mut body = response.into_body().into_data_stream();
    while let Some(piece) = body.next().await {
        let piece = piece.unwrap();
        largest = largest.max(piece.len());
        assert!(
            piece
                .iter()
                .enumerate()
                .all(|(index, byte)| *byte == byte_at(place + index))
        );
        place += piece.len();
    }
    assert_eq!(place, LIMIT);
    assert!(largest <= ringback_store::BODY_CHUNK, "{largest}");
}

#[tokio::test]
async fn one_byte_more_is_refused_and_changes_nothing() {
    let house = House::new().await;
    let id = id_of(&house.book(json!({})).await);
    let path = format!("/v1/interactions/{id}/binary_content");
    house
        .put(&path)
        .body("text/plain", "before")
        .send()
        .await
        .ok();
    house
        .put(&path)
        .body("text/plain", pieces(LIMIT + 1))
        .send()
        .await
        .problem(413, "too_large");
    let stated = house
        .put(&path)
        .body("text/plain", "x")
        .header("content-length", &(LIMIT + 1).to_string());
    stated.send().await.problem(413, "too_large");
    let broken = stream::iter([
        Ok(Bytes::from_static(b"half")),
        Err(io::Error::other("gone")),
    ]);
    house
        .put(&path)
        .body("text/plain", Body::from_stream(broken))
        .send()
        .await
        .problem(400, "invalid_request");
    assert_eq!(house.get(&path).send().await.text(), "before");

    for (mime, body) in [
        ("", "plain_text"),
        ("nonsense", "binary_content"),
        ("text/html", "plain_text"),
    ] {
        let ask = house
            .put(&format!("/v1/interactions/{id}/{body}"))
            .body(mime, "x");
        ask.send().await.problem(415, "unsupported_media_type");
    }
    house
        .put(&format!("/v1/interactions/{id}/other"))
        .body("text/plain", "x")
        .send()
        .await
        .problem(404, "not_found");
    let nobody = "/v1/interactions/00000000-0000-4000-8000-000000000000/plain_text";
    house
        .put(nobody)
        .body("text/plain", "x")
        .send()
        .await
        .problem(404, "not_found");
}

#[tokio::test]
async fn other_kinds_have_bodies_too() {
    let house = House::new().await;
    let body = json!({ "customer_id": "C", "entity_type": 0 });
    let id = id_of(&house.post("/v1/interactions").json(&body).send().await.ok());
    let path = format!("/v1/interactions/{id}/plain_text");
    let view = house
        .put(&path)
        .body("text/plain", "Dear all")
        .send()
        .await
        .ok();
    assert_eq!(
        (&view["entity_type"], &view["text"]),
        (&json!(0), &json!(path))
    );
    assert_eq!(house.get(&path).send().await.text(), "Dear all");
}
