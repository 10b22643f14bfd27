// Modules for their files alone: definitions of custom resources. They are no tools, so that
// `go mod tidy` would drop them; `go get MODULE@VERSION` changes a version.
module entra-auth-for-envoy/tests/deploy/crds

go 1.26.0

require (
	github.com/prometheus-operator/prometheus-operator v0.85.0 // indirect
	istio.io/api v1.27.3 // indirect
)
