//! What tests of several crates share. Not published, and no part of the program.

pub mod http_server;
pub mod images;
pub mod nets;
