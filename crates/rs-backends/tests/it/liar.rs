//! A server behind HTTP that says what a real one says seldom or never.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    thread,
};

/// Gives these replies, one for each connection, and then is silent.
pub(crate) struct Liar {
    addr: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Liar {
    pub(crate) fn saying(replies: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            let (mut replies, mut silent) = (replies.into_iter(), Vec::new());
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let mut head = [0; 4096];
                let read = connection.read(&mut head).unwrap_or(0);
                let head = String::from_utf8_lossy(&head[..read]).into_owned();
                log.lock()
                    .unwrap()
                    .push(head.lines().next().unwrap_or_default().to_owned());
                match replies.next() {
                    Some(reply) => drop(connection.write_all(&reply)),
                    None => silent.push(connection),
                }
            }
        });
        Self { addr, asked }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The first line of each question.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// A reply of so many bytes, whatever it has.
pub(crate) fn reply(head: &str, length: usize, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
        .into()
}
