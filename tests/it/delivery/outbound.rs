//! How the hub reaches providers: through a proxy, and with a private certificate authority.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::process::{command, folder};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";

/// Reads a head, and answers; what it has read.
async fn answer(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin)) -> String {
    let (mut head, mut buffer) = (Vec::new(), [0; 4_096]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => head.extend_from_slice(&buffer[..read]),
            _ => break,
        }
    }
    let _ = stream.write_all(ANSWER).await;
    let _ = stream.shutdown().await;
    String::from_utf8(head).unwrap()
}

/// What `check` says of an SMS provider at that address, with these variables.
async fn check(database: &Path, api: &str, variables: &[(&str, &str)]) -> String {
    let mut command = command(database);
    command.args(["check", "--listen", "127.0.0.1:0"]);
    command.envs([
        ("BELLPULL_SMS_API_URL", api),
        ("BELLPULL_SMS_ACCOUNT", "AC42"),
        ("BELLPULL_SMS_TOKEN", "t"),
        ("BELLPULL_SMS_FROM", "+4930999"),
    ]);
    command.envs(variables.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    text.lines().find(|line| line.contains("SMS") || line.contains("outbound")).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_private_certificate_authority_is_trusted_by_setting_or_by_the_usual_variable() {
    let (folder, database) = folder();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, made.cert.pem()).unwrap();
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = config.with_single_cert(vec![made.cert.der().clone()], key.into()).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = format!("https://localhost:{}/2010", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                answer(&mut stream).await;
            }
        }
    });
    let ca = file.to_str().unwrap();
    let said = check(&database, &api, &[]).await;
    assert!(said.contains("UnknownIssuer") || said.contains("certificate"), "{said}");
    for variable in ["BELLPULL_OUTBOUND_CA_FILE", "SSL_CERT_FILE"] {
        let said = check(&database, &api, &[(variable, ca)]).await;
        assert!(said.contains("the provider knows us"), "{variable}: {said}");
    }
    let missing = check(&database, &api, &[("BELLPULL_OUTBOUND_CA_FILE", "/nowhere.pem")]).await;
    assert!(missing.contains("outbound.ca_file: /nowhere.pem: "), "{missing}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn providers_are_reached_through_the_proxy_but_for_what_needs_none() {
    let (_folder, database) = folder();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    let (asked, mut heads) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            asked.send(answer(&mut stream).await).unwrap();
        }
    });
    let api = "http://api.sms.invalid/2010";
    let said = check(&database, api, &[]).await;
    assert!(said.contains("cannot be reached"), "{said}");
    for variable in ["BELLPULL_OUTBOUND_PROXY", "HTTP_PROXY", "http_proxy"] {
        let said = check(&database, api, &[(variable, &proxy)]).await;
        assert!(said.contains("the provider knows us"), "{variable}: {said}");
        let head = heads.recv().await.unwrap();
        assert!(head.starts_with("GET http://api.sms.invalid/2010/Accounts/AC42.json "), "{head}");
    }
    let variables = [("BELLPULL_OUTBOUND_PROXY", proxy.as_str()), ("NO_PROXY", ".sms.invalid")];
    let said = check(&database, api, &variables).await;
    assert!(said.contains("cannot be reached"), "{said}");
    assert!(heads.try_recv().is_err());
}
