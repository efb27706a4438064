//! The configurations in `examples/reverse-proxies`, as they stand there, in the proxies they are
//! for: real ones, before a real Hallpass and a small application that notes what reaches it.

mod application;
mod proxies;
mod setting;
mod wire;

mod cookies;
mod outages;
mod redirects;
mod requests;
mod restarts;
mod spoofing;
