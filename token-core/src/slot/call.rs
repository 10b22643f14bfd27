//! The calls of an attempt: at most one is in flight.

use uuid::Builder;

use super::{CALL_GRACE, CallId, Output, Slot};
use crate::failure::Step;
use crate::http::{Endpoint, Request};
use crate::{Mono, Now, Secret};

/// The call in flight.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) id: CallId,
    pub(super) sent: Now,
    pub(super) deadline: Mono,
    pub(super) step: Step,
    pub(super) client_request_id: Option<String>,
    pub(super) endpoint: Endpoint,
    /// The credential in the request, so that it can be removed from error messages.
    pub(super) credential: Option<Secret>,
}

impl Slot {
    /// Starts an attempt.
    pub(super) fn begin(&mut self, now: Now) {
        let first = self.plan.credential_call();
        match first.map(|(endpoint, request)| (endpoint.clone(), request)) {
            Some(first) => self.call(now, Step::Credential, first),
            None => self.request_token(now, None),
        }
    }

    /// Requests the token, with the credential if the plan needs one.
    pub(super) fn request_token(&mut self, now: Now, credential: Option<&Secret>) {
        let trace = Builder::from_random_bytes(self.rng.u128(..).to_be_bytes()).into_uuid();
        let (endpoint, request) = self.plan.token_call(credential, trace.to_string());
        let call = (endpoint.clone(), request);
        self.call(now, Step::Token, call);
        if let Some(call) = &mut self.in_flight {
            call.credential = credential.cloned();
        }
    }

    fn call(&mut self, now: Now, step: Step, (endpoint, request): (Endpoint, Request)) {
        let id = CallId(self.next_call);
        self.next_call = self.next_call.wrapping_add(1);
        let timeout = self.policy.call_timeout;
        self.in_flight = Some(InFlight {
            id,
            sent: now,
            deadline: now.mono.after(timeout + CALL_GRACE),
            step,
            client_request_id: request.client_request_id().map(str::to_owned),
            endpoint: endpoint.clone(),
            credential: None,
        });
        self.outputs.push_back(Output::Call {
            id,
            endpoint,
            request,
            timeout,
        });
    }

    /// Removes the call in flight, if it has this id and has not passed its deadline.
    pub(super) fn finish(&mut self, id: CallId, now: Now) -> Option<InFlight> {
        self.in_flight
            .take_if(|call| call.id == id && now.mono < call.deadline)
    }
}
