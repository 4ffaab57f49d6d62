//! Every way to log in that a server may ask for, passed on; and what a receipt says of it.

use clyra_tests::{House, Server, shadow};

const RULES: &str = "\
local all all trust
host all olga 127.0.0.1/32 trust
host all clara 127.0.0.1/32 password
host all maud 127.0.0.1/32 md5
host all sigrid 127.0.0.1/32 scram-sha-256
host all postgres 127.0.0.1/32 trust
";

#[tokio::test]
async fn every_way_to_log_in_passes() {
    let mut server = Server::start(RULES).await.unwrap();
    server
        .by_socket(
            "create role olga login; create role clara login password 'pw'; create role sigrid login password 'pw'; \
             set password_encryption = 'md5'; create role maud login password 'pw'",
        )
        .await
        .unwrap();
    let upstream = format!("postgres://{}/shop", server.addr);
    let house = House::start_with(&shadow(), &["--upstream", &upstream]).await.unwrap();
    let gate = house.addr("listen").unwrap();
    for (user, expected) in
        [("olga", "none"), ("clara", "password"), ("maud", "password"), ("sigrid", "scram")]
    {
        let run = format!("login-{user}");
        let options = format!("user={user} password=pw options='-c clyra.run_id={run}'");
        let client = clyra_tests::connect(gate, &options).await.unwrap();
        let who: String = client.query_one("select current_user::text", &[]).await.unwrap().get(0);
        assert_eq!(who, user);
        drop(client);
        let receipts = clyra_tests::receipts(&house.cut(&run).await.unwrap());
        assert_eq!(receipts[0]["caller"]["auth"], expected, "{user}");
        assert!(!receipts[0].to_string().contains(&format!("\"{user}\"")), "the user is a pseudonym");
    }
    let wrong = clyra_tests::connect(gate, "user=sigrid password=wrong").await.unwrap_err();
    let cause = wrong.downcast_ref::<tokio_postgres::Error>().and_then(|error| error.as_db_error()).unwrap();
    assert_eq!(cause.code(), &tokio_postgres::error::SqlState::INVALID_PASSWORD);
}
