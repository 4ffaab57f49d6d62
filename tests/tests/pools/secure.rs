//! Pools behind TLS and logins by SCRAM: many clients at once, and requests to cancel among them.

use crate::Scene;
use clyra_tests::{SPEAKS_TLS, open_folder};
use std::{path::Path, process::Command};

/// Flags for a certificate of its own making in this folder.
fn tls(folder: &Path) -> Vec<String> {
    let file = |name: &str| folder.join(name).display().to_string();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-nodes", "-days", "2", "-sha256", "-subj", "/CN=gate"])
        .args(["-addext", "subjectAltName=DNS:localhost"])
        .args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
        .args(["-out", &file("gate.pem"), "-keyout", &file("gate.key")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    vec!["--tls-cert".to_owned(), file("gate.pem"), "--tls-key".to_owned(), file("gate.key")]
}

async fn shared_by_eight(folder: &Path) -> Scene {
    let tls = tls(folder);
    let mut flags = vec!["--pool", "transaction", "--pool-size", "8"];
    flags.extend(tls.iter().map(String::as_str));
    Scene::new(&flags).await
}

#[tokio::test]
async fn sixty_four_share_eight_under_tls() {
    let folder = open_folder().unwrap();
    let scene = shared_by_eight(folder.path()).await;
    let gate = scene.house.addr("listen").unwrap();
    let script = folder.path().join("one.sql");
    std::fs::write(&script, "\\set a random(1, 100)\nselect :a + 1;\n").unwrap();
    let target = format!(
        "host=localhost port={} user=ann dbname=shop sslmode=verify-full sslrootcert={} \
         channel_binding=require",
        gate.port(),
        folder.path().join("gate.pem").display()
    );
    let ran = Command::new("pgbench")
        .args(["-n", "-M", "prepared", "-c", "64", "-j", "2", "-t", "50", "-f"])
        .arg(&script)
        .arg(&target)
        .env("PGPASSWORD", "pw")
        .output()
        .unwrap();
    let (said, words) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && said.contains("processed: 3200/3200"), "{said}{words}");
    assert!(said.contains("number of failed transactions: 0"), "{said}");
    assert!(scene.sessions().await <= 8);
}

/// Eight sessions have all the connections; four are cancelled all at once, then the other four, and each answers
/// again. In between come others that mix who has which connection.
const CROWD: &str = r#"
def say(stream, tag, body):
    stream.sendall(struct.pack('!cI', tag, 4 + len(body)) + body)
def mac(key, text):
    return hmac.digest(key, text, 'sha256')
class Session:
    def __init__(self):
        self.stream = connect()
        body = struct.pack('!I', 196608) + b'user\0ann\0database\0shop\0\0'
        self.stream.sendall(struct.pack('!I', len(body) + 4) + body)
        assert hear(self.stream)[0] == b'R'
        nonce = base64.b64encode(os.urandom(18))
        first = b'n=,r=' + nonce
        say(self.stream, b'p', b'SCRAM-SHA-256\0' + struct.pack('!I', len(first) + 3) + b'n,,' + first)
        challenge = hear(self.stream)[1][4:]
        parts = dict(part.split(b'=', 1) for part in challenge.split(b','))
        salted = hashlib.pbkdf2_hmac('sha256', b'pw', base64.b64decode(parts[b's']), int(parts[b'i']))
        key = mac(salted, b'Client Key')
        bare = b'c=biws,r=' + parts[b'r']
        signed = mac(hashlib.sha256(key).digest(), first + b',' + challenge + b',' + bare)
        proof = bytes(one ^ other for one, other in zip(key, signed))
        say(self.stream, b'p', bare + b',p=' + base64.b64encode(proof))
        while (heard := hear(self.stream))[0] != b'Z':
            assert heard[0] != b'E', heard
            if heard[0] == b'K': self.key = heard[1]
    def ask(self, sql):
        say(self.stream, b'Q', sql + b'\0')
    def answer(self):
        error = None
        while (heard := hear(self.stream))[0] != b'Z':
            if heard[0] == b'E': error = heard[1]
        return error
    def cancel(self):
        other = connect()
        other.sendall(struct.pack('!II', 8 + len(self.key), 80877102) + self.key)
        assert other.recv(1) == b''
def all_at_once(sessions, does):
    failed = []
    def tried(session):
        try: does(session)
        except BaseException as error: failed.append(error)
    threads = [threading.Thread(target=tried, args=(session,)) for session in sessions]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert not failed, failed
def cancelled(session):
    session.stream.settimeout(0.2)
    until = time.monotonic() + 30
    while True:
        session.cancel()
        try:
            tag, body = hear(session.stream)
            break
        except TimeoutError: assert time.monotonic() < until
    session.stream.settimeout(30)
    while tag != b'E': tag, body = hear(session.stream)
    assert b'C57014\0' in body, body
    session.answer()
watcher = Session()
sleepers = [Session() for _ in range(8)]
for turn in range(3):
    def mixes(session):
        for _ in range(5):
            session.ask(b'select pg_sleep(0.001)')
            assert session.answer() is None
    all_at_once(sleepers + [watcher], mixes)
    # One request reaches nobody: its client has no connection, and those who have the connections go on.
    for session in sleepers: session.ask(b'select pg_sleep(600)')
    watcher.cancel()
    all_at_once(sleepers[::2], cancelled)
    for session in sleepers[1::2]:
        session.stream.settimeout(0.2)
        try:
            heard = hear(session.stream)
            while heard[0] not in b'EZ': heard = hear(session.stream)
            raise AssertionError(heard)
        except TimeoutError: session.stream.settimeout(30)
    all_at_once(sleepers[1::2], cancelled)
"#;

#[tokio::test]
async fn each_request_to_cancel_under_tls_ends_its_own() {
    let folder = open_folder().unwrap();
    let scene = shared_by_eight(folder.path()).await;
    let port = scene.house.addr("listen").unwrap().port().to_string();
    let done = Command::new("python3")
        .args(["-c", &format!("{SPEAKS_TLS}{CROWD}"), &port])
        .arg(folder.path().join("gate.pem"))
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(scene.sessions().await <= 8);
}
