//! The three gRPC services, as tonic serves them.

use std::future::pending;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response};
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{
    LogsService, LogsServiceServer,
};
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Service;

use super::{Conduct, Content, Protocol, State};

/// The package of the services in a path.
const PACKAGE: &str = "/opentelemetry.proto.collector.";

pub(super) fn is_for(request: &Request<Incoming>) -> bool {
    request.uri().path().starts_with(PACKAGE)
}

pub(super) async fn answer(state: Arc<State>, request: Request<Incoming>) -> Response<Body> {
    let keeper = Keeper(state);
    let (_, rest) = request.uri().path().split_at(PACKAGE.len());
    // Each serves its own paths, and answers UNIMPLEMENTED to others.
    let answered = if rest.starts_with("metrics.") {
        MetricsServiceServer::new(keeper).call(request).await
    } else if rest.starts_with("trace.") {
        TraceServiceServer::new(keeper).call(request).await
    } else {
        LogsServiceServer::new(keeper).call(request).await
    };
    answered.unwrap_or_else(|never| match never {})
}

/// What the services do.
struct Keeper(Arc<State>);

impl Keeper {
    async fn export<T, A: Default>(
        &self,
        request: tonic::Request<T>,
        content: fn(T) -> Content,
    ) -> Result<tonic::Response<A>, Status> {
        self.0.count_attempt();
        match self.0.conduct() {
            Conduct::Accept => {}
            Conduct::Hang => return pending().await,
            Conduct::Unavailable => return Err(Status::unavailable("as the test wants it")),
            Conduct::Refuse => return Err(Status::invalid_argument("as the test wants it")),
        }
        let (metadata, _, message) = request.into_parts();
        self.0
            .keep(Protocol::Grpc, metadata.into_headers(), content(message));
        Ok(tonic::Response::new(A::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Keeper {
    async fn export(
        &self,
        request: tonic::Request<ExportMetricsServiceRequest>,
    ) -> Result<tonic::Response<ExportMetricsServiceResponse>, Status> {
        self.export(request, Content::Metrics).await
    }
}

#[tonic::async_trait]
impl TraceService for Keeper {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, Status> {
        self.export(request, Content::Traces).await
    }
}

#[tonic::async_trait]
impl LogsService for Keeper {
    async fn export(
        &self,
        request: tonic::Request<ExportLogsServiceRequest>,
    ) -> Result<tonic::Response<ExportLogsServiceResponse>, Status> {
        self.export(request, Content::Logs).await
    }
}
