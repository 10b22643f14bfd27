//! Tests of the stand-in: is it as strict as Azure, does it count right, do its faults do what
//! they say? One program, so that it links once.

mod admin;
mod app_service;
mod assertions;
mod availability;
mod client;
mod entra;
mod entra_client;
mod entra_form;
mod faults;
mod federation;
mod imds;
mod ingestion;
mod otlp;
mod secrets;
mod target;
mod token_check;
mod tsiam;
