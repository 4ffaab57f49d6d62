//! Logins at the gateway: the client proves itself here, and the gateway goes on as somebody else.

use crate::{papers::Papers, psql, soon};
use clyra_tests::{House, Server, shadow};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};
use tempfile::TempDir;

/// A server to which only `app` has a way, and a folder with a login file.
pub(crate) struct Scene {
    pub(crate) folder: TempDir,
    pub(crate) server: Server,
}

impl Scene {
    /// `proof` is what the server asks of `app`.
    pub(crate) async fn new(proof: &str) -> Self {
        let rules = format!(
            "local all all trust\nhost all postgres 127.0.0.1/32 trust\nhost all app 127.0.0.1/32 {proof}\n\
             host all all 127.0.0.1/32 reject\n"
        );
        let mut server = Server::start(&rules).await.unwrap();
        let encryption = if proof == "md5" { "md5" } else { "scram-sha-256" };
        let roles = format!(
            "create role ann login password 'pw'; set password_encryption = '{encryption}'; \
             create role app login password 'of the app'"
        );
        server.by_socket(&roles).await.unwrap();
        let scene = Self { folder: clyra_tests::open_folder().unwrap(), server };
        let own = clyra_tests::connect(scene.server.addr, "").await.unwrap();
        let verifier =
            own.query_one("select rolpassword from pg_authid where rolname = 'ann'", &[]).await.unwrap();
        scene.write("users.txt", &format!("\"ann\" \"{}\"\n", verifier.get::<_, &str>(0)));
        scene.write("password", "of the app\n");
        scene
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) async fn house(&self, login: &str, more: &[&str]) -> House {
        self.house_under(&shadow(), login, more).await
    }

    /// A house under another policy than the usual one.
    pub(crate) async fn house_under(&self, policy: &str, login: &str, more: &[&str]) -> House {
        self.write("login.yaml", login);
        let upstream = format!("postgres://{}/shop", self.server.addr);
        let login = self.path("login.yaml").display().to_string();
        let flags = [&["--upstream", &upstream, "--login", &login], more].concat();
        House::start_with(policy, &flags).await.unwrap()
    }
}

pub(crate) const BY_SCRAM: &str = "users: users.txt\nupstream:\n  user: app\n  password_file: password\n";
pub(crate) const WHO: &str = "select current_user || ' ' || current_database()";

async fn auth_of(house: &House, run: &str) -> serde_json::Value {
    crate::first_receipt(house, run).await["caller"]["auth"].clone()
}

#[tokio::test]
async fn clients_prove_themselves_here() {
    for proof in ["scram-sha-256", "md5", "password", "trust"] {
        let scene = Scene::new(proof).await;
        let house = scene.house(BY_SCRAM, &[]).await;
        let gate = house.addr("listen").unwrap();
        let client =
            clyra_tests::connect(gate, "user=ann password=pw options='-c clyra.run_id=r'").await.unwrap();
        let who: String = client.query_one(WHO, &[]).await.unwrap().get(0);
        assert_eq!(who, "app shop", "{proof}");
        drop(client);
        assert_eq!(auth_of(&house, "r").await, "scram");
    }
}

#[tokio::test]
async fn others_do_not_pass() {
    let scene = Scene::new("scram-sha-256").await;
    let house = scene.house(BY_SCRAM, &[]).await;
    let gate = house.addr("listen").unwrap();
    let refused = async |options: &str| {
        let error = clyra_tests::connect(gate, options).await.unwrap_err();
        let error =
            error.downcast_ref::<tokio_postgres::Error>().and_then(|error| error.as_db_error()).cloned();
        let error = error.unwrap();
        (error.code().code().to_owned(), error.message().to_owned())
    };
    for user in ["ann", "eve", "app", "postgres"] {
        let (code, message) = refused(&format!("user={user} password=wrong")).await;
        assert_eq!(code, "28P01");
        assert_eq!(message, format!("clyra: password authentication failed for user \"{user}\""));
    }
    for setting in ["-c role=app", "--session-authorization=app"] {
        let (code, message) = refused(&format!("user=ann password=pw options='{setting}'")).await;
        assert_eq!(code, "42501", "{message}");
    }
    scene.write("password", "changed");
    Command::new("kill").args(["-HUP", &house.standing["pid"].to_string()]).status().unwrap();
    let mut told = String::new();
    let deadline = soon();
    while told.is_empty() {
        assert!(Instant::now() < deadline);
        if let Err(error) = clyra_tests::connect(gate, "user=ann password=pw").await {
            told = format!("{error:?}");
        }
    }
    assert!(told.contains("does not let the gateway in (28P01)"), "{told}");
    assert!(!told.contains("app"), "{told}");
}

#[tokio::test]
async fn passwords_come_from_commands_too() {
    let scene = Scene::new("scram-sha-256").await;
    let login = "users: users.txt\nupstream:\n  user: app\n  password_command: [printf, 'of the %s', app]\n";
    let house = scene.house(login, &[]).await;
    let options = "user=ann sslmode=disable";
    assert_eq!(psql(house.addr("listen").unwrap(), options, WHO), (true, "app shop".to_owned()));
}

/// Flags and libpq options for TLS with a certificate of the gateway's own.
pub(crate) fn tls(papers: &Papers) -> (Vec<String>, String) {
    papers.sign("gate", "/CN=gate", "DNS:localhost");
    let flags =
        ["--tls-cert".to_owned(), papers.file("gate.pem"), "--tls-key".to_owned(), papers.file("gate.key")];
    (flags.to_vec(), format!("host=localhost sslmode=verify-full sslrootcert={}", papers.file("ca.pem")))
}

pub(crate) fn words(flags: &[String]) -> Vec<&str> {
    flags.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn proofs_are_bound_to_the_channel() {
    let (scene, papers) = (Scene::new("scram-sha-256").await, Papers::new());
    let (flags, options) = tls(&papers);
    let house = scene.house(BY_SCRAM, &words(&flags)).await;
    for binding in ["require", "disable"] {
        let options = format!("{options} user=ann channel_binding={binding}");
        assert_eq!(psql(house.addr("listen").unwrap(), &options, WHO), (true, "app shop".to_owned()));
    }
}

#[tokio::test]
async fn certificates_are_logins() {
    let (scene, papers) = (Scene::new("scram-sha-256").await, Papers::new());
    let (mut flags, options) = tls(&papers);
    flags.extend(["--tls-client-ca".to_owned(), papers.file("ca.pem")]);
    papers.sign("agent", "/CN=robot", "URI:spiffe://shop.example/agent/ann");
    Command::new("chmod").args(["600", &papers.file("agent.key")]).status().unwrap();
    let shown = format!("{options} sslcert={} sslkey={}", papers.file("agent.pem"), papers.file("agent.key"));
    let upstream = "upstream: {user: app, password_file: password}\n";
    for (names, user, other) in
        [("cn", "robot", "ann"), ("'spiffe://shop.example/agent/{user}'", "ann", "robot")]
    {
        let login = format!("certificates: {{user: {names}}}\n{upstream}");
        let house = scene.house(&login, &words(&flags)).await;
        let gate = house.addr("listen").unwrap();
        let claims = "options='-c clyra.run_id=m'";
        assert_eq!(psql(gate, &format!("{shown} user={user} {claims}"), WHO), (true, "app shop".to_owned()));
        let (done, said) = psql(gate, &format!("{shown} user={other}"), WHO);
        assert!(!done && said.contains("does not name user"), "{said}");
        assert_eq!(auth_of(&house, "m").await, "mtls");
    }
}

/// Makes a key set with one Ed25519 key where there is none, and a token for `ann` with more claims signed by it.
const SIGN: &str = r#"
import base64, json, os, subprocess, sys, time
folder = sys.argv[1]
def b64(raw): return base64.urlsafe_b64encode(raw).rstrip(b'=').decode()
def openssl(*words): return subprocess.run(['openssl', *words], check=True, capture_output=True).stdout
key = folder + '/signer.pem'
if not os.path.exists(key): openssl('genpkey', '-algorithm', 'ed25519', '-out', key)
public = openssl('pkey', '-in', key, '-pubout', '-outform', 'DER')[-32:]
jwk = {'kty': 'OKP', 'crv': 'Ed25519', 'kid': 'one', 'use': 'sig', 'x': b64(public)}
open(folder + '/jwks.json', 'w').write(json.dumps({'keys': [jwk]}))
claims = {'iss': 'https://id.shop.example', 'aud': 'clyra', 'sub': 'ann', 'exp': int(time.time()) + 300}
claims.update(json.loads(sys.argv[2]))
text = '.'.join(b64(json.dumps(part).encode()) for part in ({'alg': 'EdDSA', 'kid': 'one'}, claims))
open(folder + '/text', 'w').write(text)
signature = openssl('pkeyutl', '-sign', '-inkey', key, '-rawin', '-in', folder + '/text')
print(text + '.' + b64(signature))
"#;

pub(crate) fn token(folder: &Path, claims: &str) -> String {
    let made = Command::new("python3").arg("-c").arg(SIGN).arg(folder).arg(claims).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn tokens_are_passwords() {
    let (scene, papers) = (Scene::new("scram-sha-256").await, Papers::new());
    let (flags, options) = tls(&papers);
    let token = token(scene.folder.path(), "{}");
    let login = "jwt: {jwks: jwks.json, issuer: 'https://id.shop.example', audience: clyra}\n\
                 upstream: {user: app, password_file: password}\n";
    let house = scene.house(login, &words(&flags)).await;
    let gate = house.addr("listen").unwrap();
    let claims = "options='-c clyra.run_id=j'";
    let good = format!("{options} user=ann password={token} {claims}");
    assert_eq!(psql(gate, &good, WHO), (true, "app shop".to_owned()));
    assert_eq!(auth_of(&house, "j").await, "jwt");
    let (body, signature) = token.rsplit_once('.').unwrap();
    let forged = format!("{body}.{}", signature.chars().rev().collect::<String>());
    for bad in
        [format!("user=eve password={token}"), format!("user=ann password={forged}"), "user=ann".to_owned()]
    {
        let (done, said) = psql(gate, &format!("{options} {bad}"), WHO);
        assert!(!done && said.contains("password authentication failed"), "{said}");
    }
    // Keys are followed: another key's token counts, and the old one's no longer.
    std::fs::remove_file(scene.path("signer.pem")).unwrap();
    let newer = format!("{options} user=ann password={}", self::token(scene.folder.path(), "{}"));
    Command::new("kill").args(["-HUP", &house.standing["pid"].to_string()]).status().unwrap();
    let deadline = soon();
    while !psql(gate, &newer, WHO).0 {
        assert!(Instant::now() < deadline, "the new keys are not in use");
    }
    assert!(!psql(gate, &good, WHO).0);
}
