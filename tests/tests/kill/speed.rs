//! How long it takes from a turn to the first refused statement: measured and printed, never judged.

use clyra_proto::admin::{SetKillRequest, gate_client::GateClient};
use clyra_tests::House;
use std::time::{Duration, Instant};

#[tokio::test]
async fn from_a_turn_to_the_first_refusal() {
    let house = House::start(crate::OPEN).await.unwrap();
    let admin = format!("http://{}", house.addr("admin").unwrap());
    let mut gate = GateClient::connect(admin).await.unwrap();
    let client = house.through("").await.unwrap();
    let (mut effect, mut answer) = (Vec::new(), Vec::new());
    for turn in 0..400 {
        let level = 2 - 2 * (turn % 2);
        let asked =
            SetKillRequest { level, reason: "speed".into(), by: "a test".into(), ..Default::default() };
        let began = Instant::now();
        let turned = gate.set_kill(asked);
        if level == 0 {
            turned.await.unwrap();
            client.batch_execute("").await.unwrap();
            continue;
        }
        let refused = async {
            // Statements are said one after another: the one that is refused was judged after the turn.
            loop {
                if client.batch_execute("select 1").await.is_err() {
                    return began.elapsed();
                }
            }
        };
        let (turned, at) = tokio::join!(turned, refused);
        effect.push(at);
        answer.push(Duration::from_micros(turned.unwrap().into_inner().took_us));
    }
    for (what, times) in
        [("call to first refused statement", &mut effect), ("call to durable answer", &mut answer)]
    {
        times.sort();
        let at = |part: usize| times[(times.len() - 1) * part / 100];
        println!("{what}: {} turns, p50 {:?}, p95 {:?}, max {:?}", times.len(), at(50), at(95), at(100));
    }
    assert_eq!(effect.len(), 200);
}
