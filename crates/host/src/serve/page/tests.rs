use super::*;
use std::net::SocketAddr;

/// A node that counts its readers, or does not answer.
struct Node(bool);

impl Counted for Node {
    fn metrics(&self) -> Asked<'_> {
        Box::pin(async {
            if !self.0 {
                return None;
            }
            let mut metrics = Metrics::default();
            metrics.add("sip.requests-in", 7);
            Some(metrics)
        })
    }
}

async fn start(answers: bool) -> SocketAddr {
    start_with(answers, None).await
}

async fn start_with(answers: bool, fault: Option<&'static str>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let extra = Extra {
        lines: Arc::new(|| vec![("store.works_total".to_owned(), 3), ("uptime_seconds".to_owned(), 9)]),
        fault: Arc::new(move || fault),
    };
    tokio::spawn(serve(listener, Arc::new(Node(answers)), extra));
    at
}

/// What comes back for octets, sent in these pieces.
async fn ask(at: SocketAddr, pieces: &[&[u8]]) -> String {
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.set_nodelay(true).unwrap();
    for piece in pieces {
        // The server may have answered already.
        let _ = stream.write_all(piece).await;
        tokio::task::yield_now().await;
    }
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

#[tokio::test]
async fn counters_are_told_as_prometheus_reads_them() {
    let at = start(true).await;
    let answer = ask(at, &[b"GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n"]).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains(&format!("Content-Length: {}", body.len())));
    assert_eq!(
        body,
        "# TYPE cpm_sip_requests_in_total counter\ncpm_sip_requests_in_total 7\n\
         # TYPE cpm_store_works_total counter\ncpm_store_works_total 3\n\
         # TYPE cpm_uptime_seconds gauge\ncpm_uptime_seconds 9\n"
    );
    assert!(ask(at, &[b"HEAD /metrics HTTP/1.0\r\n\r\n"]).await.ends_with("\r\n\r\n"));
    assert!(ask(at, &[b"GET /healthz HTTP/1.1\r\n\r\n"]).await.ends_with("\r\n\r\nok\n"));
    assert!(ask(at, &[b"GET / HTTP/1.1\r\n\r\n"]).await.starts_with("HTTP/1.1 404 "));
}

#[tokio::test]
async fn a_request_may_come_in_pieces() {
    let at = start(true).await;
    let request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    for cut in 1..request.len() {
        let answer = ask(at, &[&request[..cut], &request[cut..]]).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "cut at {cut}: {answer}");
    }
    let bytes: Vec<&[u8]> = request.chunks(1).collect();
    assert!(ask(at, &bytes).await.starts_with("HTTP/1.1 200 OK"));
}

#[tokio::test]
async fn what_is_no_request_for_a_page_is_refused() {
    let at = start(true).await;
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(MAX_HEAD));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(MAX_FIELDS + 1));
    let body = format!("POST /metrics HTTP/1.1\r\nContent-Length: 100000\r\n\r\n{}", "x".repeat(100_000));
    for (request, status) in [
        ("DELETE /metrics HTTP/1.1\r\n\r\n", "405"),
        (body.as_str(), "405"),
        ("\x16\x03\x01\x02", "400"),
        ("GET /metrics HTTP/1.1\r\nbad header\r\n\r\n", "400"),
        ("GET /metrics\r\n\r\n", "400"),
        (long.as_str(), "431"),
        (many.as_str(), "431"),
    ] {
        let answer = ask(at, &[request.as_bytes()]).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{status}: {answer}");
    }
    assert!(ask(at, &[b"PUT / HTTP/1.1\r\n\r\n"]).await.contains("\r\nAllow: GET, HEAD\r\n"));
    // It goes on.
    assert!(ask(at, &[b"GET /healthz HTTP/1.1\r\n\r\n"]).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn a_reader_that_says_nothing_is_let_go() {
    let at = start(true).await;
    let mut silent = Vec::new();
    for _ in 0..MAX_READERS {
        silent.push(TcpStream::connect(at).await.unwrap());
    }
    // All places are taken by those that say nothing, until their time is over.
    let began = tokio::time::Instant::now();
    assert!(ask(at, &[b"GET /healthz HTTP/1.1\r\n\r\n"]).await.starts_with("HTTP/1.1 200 "));
    assert!(began.elapsed() < PATIENCE + PATIENCE);
    let mut octet = [0];
    assert_eq!(silent[0].read(&mut octet).await.unwrap(), 0);
}

#[tokio::test]
async fn a_node_that_does_not_answer_is_not_well() {
    let at = start(false).await;
    for path in ["/metrics", "/healthz"] {
        let request = format!("GET {path} HTTP/1.1\r\n\r\n");
        assert!(ask(at, &[request.as_bytes()]).await.starts_with("HTTP/1.1 503 "), "{path}");
    }
}

#[tokio::test]
async fn a_store_that_keeps_nothing_is_no_health() {
    let at = start_with(true, Some("the store is damaged")).await;
    let answer = ask(at, &[b"GET /healthz HTTP/1.1\r\n\r\n"]).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("the store is damaged\n"), "{answer}");
    assert!(ask(at, &[b"GET /metrics HTTP/1.1\r\n\r\n"]).await.starts_with("HTTP/1.1 200 "));
}
