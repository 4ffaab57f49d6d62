//! The recorder goes away for a while: statements go on, and everything reaches the log in the end.

use clyra_gateway::{Gateway, Settings, Upstream};
use clyra_recorder::Recorder;
use clyra_tests::{Server, connect, open_folder};
use std::{net::SocketAddr, path::Path, time::Duration};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recorder_may_be_away_for_a_while() {
    let server = Server::start("local all all trust\nhost all all 127.0.0.1/32 trust\n").await.unwrap();
    let folder = open_folder().unwrap();
    let key = clyra_gateway::gateway_key(folder.path()).unwrap();
    let recorder = record(folder.path(), "127.0.0.1:0", &key).await;
    let addr = recorder.addr();
    let gateway = Gateway::start(settings(folder.path(), &server, addr)).await.unwrap();
    let client = connect(gateway.listen(), "").await.unwrap();
    client.batch_execute("create table t (id int)").await.unwrap();
    recorder.stop().await.unwrap();

    for id in 0..500 {
        client.execute("insert into t values ($1)", &[&id]).await.unwrap();
    }
    let stored: i64 = client.query_one("select count(*) from t", &[]).await.unwrap().get(0);
    assert_eq!(stored, 500, "statements go on while the recorder is away");

    let recorder = record(folder.path(), &addr.to_string(), &key).await;
    // 500 inserts, the create, the count, the policy entry: all of them, and their batch headers.
    let size = async {
        loop {
            let size = recorded(addr).await;
            if size > 503 {
                return size;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let size = tokio::time::timeout(Duration::from_secs(30), size).await.expect("the spool is sent");
    drop(client);
    gateway.stop().await.unwrap();
    assert!(recorded(addr).await >= size);
    recorder.stop().await.unwrap();
}

async fn record(folder: &Path, listen: &str, key: &str) -> Recorder {
    let settings = clyra_recorder::Settings {
        listen: listen.parse().unwrap(),
        log_http: None,
        data: folder.join("recorder"),
        makers: vec![key.to_owned()],
    };
    Recorder::start(settings).await.unwrap()
}

fn settings(folder: &Path, server: &Server, recorder: SocketAddr) -> Settings {
    let any = "127.0.0.1:0".parse().unwrap();
    Settings {
        listen: any,
        admin: any,
        metrics: any,
        data: folder.to_owned(),
        upstream: Upstream::parse(&format!("postgres://{}", server.addr)).unwrap(),
        policy_file: None,
        kill_file: None,
        mode: None,
        recorder,
        workers: 1,
        tls: None,
        login: None,
        upstream_password: None,
        limits: clyra_gateway::Limits::default(),
        pool: None,
        catalog: None,
        signing: clyra_gateway::Signing::default(),
    }
}

/// Entries that the recorder has acknowledged.
async fn recorded(addr: SocketAddr) -> u64 {
    use clyra_proto::evidence::{StandRequest, recorder_client::RecorderClient};
    let mut client = RecorderClient::connect(format!("http://{addr}")).await.unwrap();
    client.stand(StandRequest {}).await.unwrap().into_inner().size
}
