//! What breaks: the process, the disk, an actor; and clients that take what they ask for slowly.

mod clock;
mod disk;
mod kill;
mod memory;
mod power;
