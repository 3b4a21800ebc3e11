//! Integrations that answer, late or never: all are asked at once, and waited for until one deadline.

use tokio::sync::mpsc;

use crate::config;
use crate::http::readiness::Readiness;
use crate::telemetry::feed_metrics::FeedMetrics;
use crate::telemetry::metrics::Metrics;
use crate::time::Timestamp;
use crate::views::model::{self, IntegrationModel};
use crate::views::service::ServiceView;

use super::*;

const INTEGRATIONS: [&str; 3] = ["hangs", "answers", "is-late"];

fn state(commands: mpsc::Sender<Command>) -> State {
    let toml =
        "[kafka]\nbootstrap_servers = \"nobody:1\"\n[[integration]]\nid = \"a\"\nkind = \"avaya-cms\"\nacd = 1\n";
    let config = config::parse(toml, std::path::Path::new("rtalink.toml"), []).config.unwrap();
    let metrics = Metrics::new().unwrap();
    let integration =
        |id: &str| IntegrationModel::new(id.into(), String::new(), FeedMetrics::new(&metrics, &id.into()));
    let (model, _, _) = model::start(INTEGRATIONS.map(integration).into()).unwrap();
    State {
        service: ServiceView::new(Timestamp::now(), 0),
        model,
        readiness: Arc::new(Readiness::new(&config.store, &metrics, Handles::default())),
        metrics,
        reloads: None,
        commands,
        access: Arc::new(arc_swap::ArcSwap::from_pointee(config.http)),
        format: config.kafka.format,
    }
}

#[tokio::test(flavor = "current_thread")]
async fn one_that_hangs_keeps_nobody_else_waiting_and_is_named() {
    let (commands, mut commanded) = mpsc::channel(INTEGRATIONS.len());
    let state = state(commands);
    let workers = tokio::spawn(async move {
        let mut hanging = Vec::new();
        while let Some(Command { index, task: Task::Forget(forget) }) = commanded.recv().await {
            match INTEGRATIONS[index.get()] {
                "hangs" => hanging.push(forget),
                "is-late" => {
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_millis(50)).await;
                        forget.done.send(ForgetAnswer { acds: vec![2], ..ForgetAnswer::default() }).unwrap();
                    });
                }
                _ => forget.done.send(ForgetAnswer { acds: vec![1], ..ForgetAnswer::default() }).unwrap(),
            }
        }
    });
    let wanted = Wanted { login_id: "4711".to_owned(), integration: None, acd: None };
    let all: Vec<IntegrationIndex> = (0..3).map(IntegrationIndex::after).collect();
    let asked = ask_all(&state, &all, &wanted, Instant::now() + Duration::from_secs(2)).await;
    let told: Vec<(usize, Vec<u32>)> =
        asked.told.iter().map(|(index, found)| (index.get(), found.acds.clone())).collect();
    assert_eq!((told, &asked.unanswered), (vec![(1, vec![1]), (2, vec![2])], &vec![IntegrationIndex::after(0)]));

    let ids: Vec<Arc<str>> = INTEGRATIONS.map(Into::into).into();
    let Asked { told, unanswered } = asked;
    let found = Found { told, waiting: Vec::new(), unanswered, quarantined: Vec::new(), is_perhaps_them: false };
    let response = answer(&state, &ids, &wanted, &found);
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let told: Value = serde_json::from_slice(&body).unwrap();
    let forgotten = json!([{ "integration": "answers", "acd": 1 }, { "integration": "is-late", "acd": 2 }]);
    assert_eq!(told["forgotten"], forgotten, "what is done is said");
    assert!(told["error"].as_str().unwrap().contains("hangs did not answer"), "{told}");
    drop(state);
    workers.await.unwrap();
}
