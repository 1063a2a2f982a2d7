//! The agent as users run it: the built program, its terminal, its HTTP server, its files.

mod api_server;
mod audit;
mod audit_abuse;
mod capture;
mod containers;
mod cri;
mod host_names;
mod hostile;
mod live;
mod privileges;
mod running;
mod start;
mod swaps;
