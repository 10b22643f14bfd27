//! Tests of the stand-in: is it as strict as Azure, does it count right, do its faults do what
//! they say? One program, so that it links once.

mod admin;
mod client;
mod faults;
mod imds;
mod ingestion;
mod target;
mod token_check;
