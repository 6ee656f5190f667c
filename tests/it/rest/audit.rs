//! `/api/audit/`: what admins changed, for admins.

use reqwest::Method;
use serde_json::{Value, json};

use super::Team;
use crate::support::answer;

const PATH: &str = "/api/audit/";

#[tokio::test]
async fn what_admins_change_is_listed_and_nothing_else() {
    let team = Team::gather().await;
    let (hub, admin) = (&team.hub, &team.admin);
    let user = format!("/api/users/{}/", team.carl.id);
    let (status, _) = hub.patch(admin, &user, json!({"full_name": "Quixotic"})).await;
    assert_eq!(status, 200);
    assert_eq!(hub.delete(admin, "/api/scheduled/4711/").await.0, 404);
    // Reading, what another role may not do, and a ticket's steps are not in it.
    assert_eq!(hub.get(admin, &user).await.0, 200);
    assert_eq!(hub.patch(&team.carl, &user, json!({"full_name": "X"})).await.0, 403);
    hub.ticket(&team.carl, "Own").await;
    let preview = "/api/templates/ticket_created/EMAIL/en/preview/";
    assert_eq!(hub.post(admin, preview, json!({"subject": "S"})).await.0, 200);

    let (status, list) = hub.get(admin, PATH).await;
    assert_eq!((status, &list["count"]), (200, &json!(2)), "{list}");
    let shown = |row: &Value| (row["action"].clone(), row["path"].clone(), row["status"].clone());
    let rows = list["results"].as_array().unwrap();
    let wanted = [
        (json!("DELETE /api/scheduled/{id}/"), json!("/api/scheduled/4711/"), json!(404)),
        (json!("PATCH /api/users/{id}/"), json!(user), json!(200)),
    ];
    assert_eq!(rows.iter().map(shown).collect::<Vec<_>>(), wanted);
    assert_eq!((&rows[1]["user"], &rows[1]["role"]), (&json!(admin.id), &json!("admin")));
    assert_eq!(rows[1]["address"], "127.0.0.1");
    assert!(!list.to_string().contains("Quixotic"), "no content");

    let path = format!("{PATH}?user={}&action=DELETE /api/scheduled/%7Bid%7D/", admin.id);
    assert_eq!(hub.get(admin, &path).await.1["count"], 1);
    assert_eq!(hub.get(admin, &format!("{PATH}?since=2100-01-01")).await.1["count"], 0);
    let (status, told) = hub.get(admin, &format!("{PATH}?user=x&since=yesterday")).await;
    assert_eq!(status, 400);
    assert!(told["user"].is_array() && told["since"].is_array(), "{told}");
    assert_eq!(hub.get(&team.carl, PATH).await.0, 403);
    assert_eq!(answer(hub.request(Method::GET, PATH)).await.0, 401);
    team.hub.stop().await;
}
