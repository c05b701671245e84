//! The life of a customer's webhooks with the unmodified crate svix: cargo run URL TOKEN

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use svix::api::*;
use svix::error::Error;
use svix::models::*;
use svix::webhooks::Webhook;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Receiver keeps what it is sent and answers what it is told to.
struct Receiver {
    requests: Mutex<Vec<(HeaderMap, Vec<u8>)>>,
    status: Mutex<u16>,
}

impl Receiver {
    fn listen() -> Result<(Arc<Receiver>, String)> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}/hook", listener.local_addr()?);
        let receiver = Arc::new(Receiver {
            requests: Mutex::default(),
            status: Mutex::new(200),
        });
        let server = receiver.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                server.answer(connection.unwrap()).unwrap();
            }
        });
        Ok((receiver, url))
    }

    /// Answers one request: with "connection: close", each connection carries one.
    fn answer(&self, connection: TcpStream) -> Result<()> {
        let mut reader = BufReader::new(&connection);
        let mut headers = HeaderMap::new();
        let mut line = String::new();
        reader.read_line(&mut line)?;
        loop {
            line.clear();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            headers.append(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
        }
        let mut body = vec![0; headers["content-length"].to_str()?.parse()?];
        reader.read_exact(&mut body)?;
        self.requests.lock().unwrap().push((headers, body));
        let status = *self.status.lock().unwrap();
        write!(
            &connection,
            "HTTP/1.1 {status} Told\r\ncontent-length: 6\r\nconnection: close\r\n\r\nthanks"
        )?;
        Ok(())
    }

    async fn find(&self, message: &str, count: usize) -> (HeaderMap, Vec<u8>) {
        until("a request", async || {
            let requests = self.requests.lock().unwrap();
            requests
                .iter()
                .filter(|(headers, _)| headers["webhook-id"] == message)
                .nth(count - 1)
                .cloned()
        })
        .await
    }
}

async fn until<T>(what: &str, condition: impl AsyncFn() -> Option<T>) -> T {
    for _ in 0..1000 {
        if let Some(value) = condition().await {
            return value;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited 10 s in vain for {what}")
}

fn verify(secret: &str, (headers, body): &(HeaderMap, Vec<u8>)) -> Result<()> {
    Ok(Webhook::new(secret)?.verify(body, headers)?)
}

fn refused<T: Debug>(status: u16, result: svix::error::Result<T>) {
    let got = match result {
        Err(Error::Http(e)) => (e.status.as_u16(), e.payload.is_some()),
        Err(Error::Validation(e)) => (
            e.status.as_u16(),
            e.payload.is_some_and(|p| !p.detail.is_empty()),
        ),
        other => panic!("{other:?}, want status {status}"),
    };
    assert_eq!(got, (status, true));
}

fn set(value: &str) -> Option<BTreeSet<String>> {
    Some(BTreeSet::from([value.into()]))
}

fn application(name: &str, uid: &str) -> ApplicationIn {
    ApplicationIn {
        uid: Some(uid.into()),
        ..ApplicationIn::new(name.into())
    }
}

async fn send(
    svix: &Svix,
    payload: Value,
    event_id: Option<&str>,
) -> svix::error::Result<MessageOut> {
    let message = MessageIn {
        channels: set("east"),
        event_id: event_id.map(Into::into),
        ..MessageIn::new("rust.paid".into(), payload)
    };
    let options = MessageCreateOptions {
        idempotency_key: event_id.map(|id| format!("{id}-once")),
        ..Default::default()
    };
    svix.message()
        .create("rust".into(), message, Some(options))
        .await
}

async fn flow(url: String, token: String) -> Result<()> {
    let connect = |token: &str| {
        Svix::new(
            token.into(),
            Some(SvixOptions {
                server_url: Some(url.clone()),
                ..Default::default()
            }),
        )
    };
    let svix = connect(&token);
    let (receiver, hook) = Receiver::listen()?;
    let begin = chrono::Utc::now();
    let (app, sales) = (|| "rust".to_string(), || "sales".to_string());

    let acme = svix
        .application()
        .create(application("Acme", "rust"), None)
        .await?;
    assert_eq!(
        svix.application()
            .get_or_create(application("Other", "rust"), None)
            .await?
            .id,
        acme.id
    );
    svix.event_type()
        .create(EventTypeIn::new("rust.paid".into(), "Paid".into()), None)
        .await?;
    let key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let sink = EndpointIn {
        uid: Some(sales()),
        secret: Some(key.into()),
        event_types: set("rust.paid"),
        channels: set("east"),
        ..EndpointIn::new(hook.clone())
    };
    let endpoint = svix.endpoint().create(app(), sink, None).await?;
    assert_eq!(svix.endpoint().get_secret(app(), sales()).await?.key, key);

    let message = send(&svix, json!({"text": "é"}), Some("one")).await?;
    assert_eq!(
        send(&svix, json!({"text": "é"}), Some("one")).await?.id,
        message.id
    );
    let first = receiver.find(&message.id, 1).await;
    verify(key, &first)?;
    assert_eq!(
        serde_json::from_slice::<Value>(&first.1)?,
        json!({"text": "é"})
    );
    let attempt = until("an attempt", async || {
        let list = svix
            .message_attempt()
            .list_by_msg(app(), "one".into(), None)
            .await
            .unwrap();
        list.data.into_iter().next()
    })
    .await;
    assert_eq!(
        (attempt.response_status_code, &attempt.endpoint_id),
        (200, &endpoint.id)
    );
    assert_eq!(
        svix.message_attempt()
            .list_by_endpoint(app(), sales(), None)
            .await?
            .data[0]
            .id,
        attempt.id
    );
    svix.message_attempt()
        .resend(app(), "one".into(), sales(), None)
        .await?;
    verify(key, &receiver.find(&message.id, 2).await)?;

    *receiver.status.lock().unwrap() = 500;
    let lost = send(&svix, json!({}), None).await?;
    until("the last attempt", async || {
        let options = MessageAttemptListByMsgOptions {
            status: Some(MessageStatus::Fail),
            ..Default::default()
        };
        let list = svix
            .message_attempt()
            .list_by_msg(app(), lost.id.clone(), Some(options))
            .await
            .unwrap();
        (list.data.len() == 3).then_some(())
    })
    .await;
    *receiver.status.lock().unwrap() = 200;
    let task = svix
        .endpoint()
        .recover(app(), sales(), RecoverIn::new(begin), None)
        .await?;
    receiver.find(&lost.id, 4).await;
    until("the end of the task", async || {
        let status = svix
            .background_task()
            .get(task.id.clone())
            .await
            .unwrap()
            .status;
        (status == BackgroundTaskStatus::Finished).then_some(())
    })
    .await;

    svix.endpoint()
        .rotate_secret(app(), sales(), EndpointSecretRotateIn::new(), None)
        .await?;
    let next = svix.endpoint().get_secret(app(), sales()).await?.key;
    assert_ne!(next, key);
    let last = receiver
        .find(&send(&svix, json!({}), None).await?.id, 1)
        .await;
    verify(key, &last)?;
    verify(&next, &last)?;

    let portal = svix
        .authentication()
        .app_portal_access(app(), AppPortalAccessIn::new(), None)
        .await?;
    let customer = connect(&portal.token);
    assert_eq!(
        customer.endpoint().list(app(), None).await?.data[0].id,
        endpoint.id
    );
    customer.authentication().whoami().await?;
    refused(403, customer.application().list(None).await);
    svix.message()
        .expunge_content(app(), message.id.clone())
        .await?;
    let with_content = MessageGetOptions {
        with_content: Some(true),
    };
    assert_eq!(
        svix.message()
            .get(app(), message.id.clone(), Some(with_content))
            .await?
            .payload,
        json!({"expired": true})
    );

    for uid in ["rust-0", "rust-1", "rust-2"] {
        svix.application()
            .create(application("Page", uid), None)
            .await?;
    }
    let (mut seen, mut iterator) = (Vec::new(), None);
    loop {
        let options = ApplicationListOptions {
            limit: Some(3),
            iterator,
            ..Default::default()
        };
        let page = svix.application().list(Some(options)).await?;
        seen.extend(page.data.into_iter().filter_map(|a| a.uid));
        iterator = page.iterator;
        if page.done {
            break;
        }
    }
    assert_eq!(seen, ["rust", "rust-0", "rust-1", "rust-2"]);

    refused(404, svix.application().get("nobody".into()).await);
    refused(
        409,
        svix.application()
            .create(application("Acme", "rust"), None)
            .await,
    );
    let again = MessageIn {
        event_id: Some("one".into()),
        ..MessageIn::new("rust.paid".into(), json!({}))
    };
    refused(409, svix.message().create(app(), again, None).await);
    refused(
        422,
        svix.endpoint()
            .create(app(), EndpointIn::new("no url".into()), None)
            .await,
    );
    let many = ApplicationListOptions {
        limit: Some(1000),
        ..Default::default()
    };
    refused(422, svix.application().list(Some(many)).await);
    refused(401, connect("wrong").application().list(None).await);
    svix.endpoint().delete(app(), sales()).await?;
    refused(404, svix.endpoint().get(app(), sales()).await);
    Ok(())
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (url, token) = (
        arguments.next().ok_or("no URL")?,
        arguments.next().ok_or("no token")?,
    );
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(flow(url, token))
}
