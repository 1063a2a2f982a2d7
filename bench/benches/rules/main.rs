//! How long rules take: to load, on events that none of them matches, and on a recorded capture.

mod events;
mod load;
mod replay;
mod sets;

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}
