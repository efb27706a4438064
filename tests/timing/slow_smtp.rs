//! A mail server that takes every mail, each step as late as it is told.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// Starts one for as long as the process lives, and returns its URL.
pub fn start(delay: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("smtp://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            // A client may disconnect at any time.
            std::thread::spawn(move || drop(serve(&stream, delay)));
        }
    });
    url
}

fn serve(stream: &TcpStream, delay: Duration) -> std::io::Result<()> {
    let mut writer = stream;
    let mut answer = |text: &str| {
        std::thread::sleep(delay);
        writer.write_all(format!("{text}\r\n").as_bytes())
    };
    answer("220 slow.test")?;
    let mut in_mail = false;
    for line in BufReader::new(stream).lines() {
        match line?.as_str() {
            "." if in_mail => {
                in_mail = false;
                answer("250 taken")?;
            }
            _ if in_mail => {}
            "DATA" => {
                in_mail = true;
                answer("354 go on")?;
            }
            "QUIT" => return answer("221 bye"),
            _ => answer("250 yes")?,
        }
    }
    Ok(())
}
