//! The page that a family's front end is in, served from an origin of its own.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::sse::{Event, Sse};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::script;

/// Serves the page and its modules; its origin. What the page posts goes to `sayer`, and what
/// comes from `done` is sent to the page.
pub(super) async fn serve(sayer: UnboundedSender<Value>, done: UnboundedReceiver<Value>) -> String {
    let said = move |body: String| {
        let _ = sayer.send(serde_json::from_str(&body).unwrap());
        std::future::ready("")
    };
    let done = Arc::new(Mutex::new(Some(done)));
    let gestures = move || {
        let done = done.lock().unwrap().take().expect("the page asks once");
        let told = stream::unfold(done, |mut done| async move {
            let gesture = done.recv().await?;
            Some((Ok::<_, Infallible>(Event::default().data(gesture.to_string())), done))
        });
        std::future::ready(Sse::new(told))
    };
    let router = Router::new()
        .route("/", get(|| async { Html(std::fs::read_to_string(script("page.html")).unwrap()) }))
        .route("/said", post(said))
        .route("/gestures", get(gestures))
        .route("/{module}", get(module));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    origin
}

/// A module of the page; anything else that a browser asks for by itself is not there.
async fn module(Path(name): Path<String>) -> Response {
    match std::fs::read_to_string(script(&name)) {
        Ok(text) => ([(CONTENT_TYPE, "text/javascript")], text).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}
