{{- define "entra-auth-envoy.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "entra-auth-envoy.fullname" -}}
{{- $name := include "entra-auth-envoy.name" . }}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name }}
{{- .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* As aad-auth-proxy's chart has them: a Deployment's selector can never change. */}}
{{- define "entra-auth-envoy.selectorLabels" -}}
app.kubernetes.io/name: {{ include "entra-auth-envoy.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "entra-auth-envoy.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "entra-auth-envoy.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{/* What tells the Service of statusPort from the clients'. */}}
{{- define "entra-auth-envoy.statusLabels" -}}
{{ include "entra-auth-envoy.selectorLabels" . }}
app.kubernetes.io/component: status
{{- end }}

{{- define "entra-auth-envoy.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "entra-auth-envoy.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "entra-auth-envoy.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{/* Whoever asked the old chart for workload identity's label alone meant workload identity. */}}
{{- define "entra-auth-envoy.identityType" -}}
{{- .Values.identityType | default "" | trim | default (ternary "workloadIdentity" "" (eq .Values.addWorkloadIdentityLabel "azure")) }}
{{- end }}

{{/* The types of all identities as JSON, in lower case, because the launcher takes them in any. */}}
{{- define "entra-auth-envoy.identityTypes" -}}
{{- $types := list }}
{{- if .Values.config }}
{{- range .Values.config.identities }}
{{- $types = append $types (lower .type) }}
{{- end }}
{{- else }}
{{- $types = list (include "entra-auth-envoy.identityType" . | lower) }}
{{- end }}
{{- toJson $types }}
{{- end }}

{{/* The proxy's ports as JSON: with `config` its listeners', each under its own number. */}}
{{- define "entra-auth-envoy.ports" -}}
{{- $ports := list }}
{{- if .Values.config }}
{{- range .Values.config.listeners }}
{{- $ports = append $ports (dict "name" (printf "http-%d" (int .port)) "container" (int .port) "service" (int .port)) }}
{{- end }}
{{- else }}
{{- $ports = list (dict "name" "http" "container" (int .Values.listeningPort) "service" (int .Values.service.port)) }}
{{- end }}
{{- toJson $ports }}
{{- end }}

{{/* The addresses that are said for ports, each with what says it; as JSON. */}}
{{- define "entra-auth-envoy.addresses" -}}
{{- $addresses := list }}
{{- range $name := list "listeningAddress" "statusAddress" }}
{{- with index $.Values $name }}
{{- $addresses = append $addresses (dict "name" $name "address" .) }}
{{- end }}
{{- end }}
{{- range $n, $listener := .Values.config.listeners }}
{{- with $listener.address }}
{{- $addresses = append $addresses (dict "name" (printf "config.listeners[%d].address" $n) "address" .) }}
{{- end }}
{{- end }}
{{- toJson $addresses }}
{{- end }}

{{/* The ports that targets, tsiam and collectors are said to have, and those of networkPolicy.egressPorts; as
     JSON. */}}
{{- define "entra-auth-envoy.egressPorts" -}}
{{- $urls := list .Values.targetHost .Values.tsiamEndpoint }}
{{- with .Values.telemetry.otlp.endpoint | trim | lower }}
{{- $urls = append $urls (ternary ":80" . (regexMatch "^http://[^:/]+(/|$)" .)) }}
{{- end }}
{{- with .Values.otelGrpcEndpoint | trim | lower }}
{{- $urls = append $urls (ternary ":4317" (ternary ":80" . (regexMatch "^http://[^:/]+(/|$)" .)) (regexMatch "^[^:/]+/?$" .)) }}
{{- end }}
{{- range .Values.config.targets }}
{{- $urls = append $urls .url }}
{{- end }}
{{- range .Values.config.identities }}
{{- $urls = append $urls .tsiam }}
{{- end }}
{{- $ports := list }}
{{- range .Values.networkPolicy.egressPorts }}
{{- $ports = append $ports (int .) }}
{{- end }}
{{- range $urls }}
{{- with regexFind ":[0-9]+(/|$)" (. | default "" | trim) }}
{{- $ports = append $ports (. | trimAll ":/" | int) }}
{{- end }}
{{- end }}
{{- toJson (uniq $ports) }}
{{- end }}

{{/* Whether the memory limit is below 256Mi. Quantities are numbers, or text with a unit. */}}
{{- define "entra-auth-envoy.isShortOfMemory" -}}
{{- with (.Values.resources.limits).memory }}
{{- $said := ternary (int64 .) . (kindIs "float64" .) | toString }}
{{- $units := dict "" 1 "k" 1000 "M" 1000000 "G" 1000000000 "Ki" 1024 "Mi" 1048576 "Gi" 1073741824 }}
{{- $unit := get $units (regexFind "[A-Za-z]*$" $said) | default 1073741824 }}
{{- lt (mulf (regexFind "^[0-9.]+" $said | float64) $unit) 268435456.0 }}
{{- end }}
{{- end }}
