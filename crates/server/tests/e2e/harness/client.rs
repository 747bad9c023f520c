//! The HTTP API as a client program uses it.

use super::Feed;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// How long any one request may take.
const REQUEST: Duration = Duration::from_secs(20);

#[derive(Clone)]
pub struct Client {
    base: String,
    key: Option<String>,
    http: reqwest::Client,
}

impl Client {
    pub fn new(base: String) -> Client {
        // The first one is as good as any: it fails only because another test was faster.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(REQUEST)
            .build()
            .expect("a client");
        Client {
            base,
            key: None,
            http,
        }
    }

    /// The same client of another server, or of the same one at another address.
    pub fn at(&self, base: String) -> Client {
        Client {
            base,
            ..self.clone()
        }
    }

    pub fn with_key(self, key: &str) -> Client {
        Client {
            key: Some(key.to_owned()),
            ..self
        }
    }

    /// One that waits as long for an answer as a server may take.
    pub fn patient(&self) -> Client {
        let http = reqwest::Client::builder()
            .timeout(REQUEST * 3)
            .build()
            .expect("a client");
        Client {
            http,
            ..self.clone()
        }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }

    /// Listens to a stream of events, from `after` on if that is given.
    pub async fn follow(&self, path: &str, after: Option<i64>) -> Feed {
        let mut request = self
            .request(Method::GET, path)
            .header("Accept", "text/event-stream")
            .timeout(REQUEST * 30);
        if let Some(after) = after {
            request = request.header("Last-Event-ID", after);
        }
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK, "GET {path} as a stream");
        Feed::read(answer)
    }

    /// One request; the answer's status and JSON (null when it has none). Fails only without an answer.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> reqwest::Result<(StatusCode, Value)> {
        let mut request = self.request(method, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let bytes = answer.bytes().await?;
        Ok((
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        ))
    }

    /// The whole answer to a POST, for what stands in its head.
    pub async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> reqwest::Result<reqwest::Response> {
        let mut request = self.request(Method::POST, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.json(body).send().await
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self
            .ask(Method::GET, path, &[], None)
            .await
            .expect("an answer");
        assert_eq!(status, StatusCode::OK, "GET {path}: {body}");
        body
    }

    /// Asks for something that must succeed.
    pub async fn send(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self
            .ask(method.clone(), path, &[], Some(&body))
            .await
            .expect("an answer");
        assert!(status.is_success(), "{method} {path}: {status} {answer}");
        answer
    }

    pub async fn put_queue(&self, id: &str, rules: Value) {
        self.send(Method::PUT, &format!("/v1/queues/{id}"), rules)
            .await;
    }

    /// An agent whose phone is the desk: offers count as accepted.
    pub async fn put_agent(
        &self,
        id: i64,
        dn: &str,
        route: Option<&str>,
        queue: &str,
        auto_accept: bool,
    ) {
        let agent = json!({
            "name": format!("Agent {id}"), "dn": dn, "route": route, "queues": [queue], "auto_accept": auto_accept,
        });
        self.send(Method::PUT, &format!("/v1/agents/{id}"), agent)
            .await;
        self.send(
            Method::PUT,
            &format!("/v1/agents/{id}/presence"),
            json!({"presence": "ready"}),
        )
        .await;
    }

    /// Books and gives the new callback's id.
    pub async fn book(&self, request: Value) -> String {
        let (status, answer) = self
            .ask(Method::POST, "/v1/callbacks", &[], Some(&request))
            .await
            .expect("an answer");
        assert_eq!(status, StatusCode::CREATED, "{answer}");
        answer["interaction_id"].as_str().expect("an id").to_owned()
    }

    pub async fn callback(&self, id: &str) -> Value {
        self.get(&format!("/v1/callbacks/{id}")).await
    }

    pub async fn attempts(&self, id: &str) -> Vec<Value> {
        let answer = self.get(&format!("/v1/callbacks/{id}/attempts")).await;
        list(&answer).to_vec()
    }

    pub async fn events(&self, id: &str) -> Vec<Value> {
        let answer = self.get(&format!("/v1/callbacks/{id}/events")).await;
        list(&answer).to_vec()
    }

    /// Waits until the callback is as it should be, and gives it.
    pub async fn callback_when(
        &self,
        id: &str,
        what: &str,
        limit: Duration,
        fits: impl Fn(&Value) -> bool,
    ) -> Value {
        let until = Instant::now() + limit;
        loop {
            let callback = self.callback(id).await;
            if fits(&callback) {
                return callback;
            }
            if Instant::now() > until {
                let attempts = self.attempts(id).await;
                let events = self.events(id).await;
                panic!(
                    "{what} did not happen in {limit:?}\n{callback:#}\nattempts {attempts:#?}\nevents {events:#?}"
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits for the end of the callback (`status` 3), and gives it.
    pub async fn ended(&self, id: &str, limit: Duration) -> Value {
        self.callback_when(id, "the end", limit, |callback| callback["status"] == 3)
            .await
    }
}

/// Lists come in a page (`items`) or as they are.
fn list(answer: &Value) -> &[Value] {
    let found = answer.get("items").unwrap_or(answer);
    found
        .as_array()
        .unwrap_or_else(|| panic!("not a list: {answer}"))
}
