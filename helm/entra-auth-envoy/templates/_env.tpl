{{/* The launcher's environment: docs/reference/settings.md. An empty value leaves the variable out. */}}
{{- define "entra-auth-envoy.env" -}}
{{- $v := .Values }}
{{- $env := list
  (list "ENTRA_AUTH_SETTINGS_FROM" "helm")
  (list "STATUS_PORT" (int $v.statusPort))
  (list "STATUS_ADDRESS" $v.statusAddress)
  (list "PROXY_HEALTH_PATHS" (ternary "" "off" $v.proxyHealthPaths))
  (list "DRAIN_SECONDS" (int $v.drainSeconds))
  (list "LOG_LEVEL" $v.logLevel)
  (list "ACCESS_LOG" $v.accessLog)
}}
{{- $env = concat $env (include "entra-auth-envoy.envOfTelemetry" . | fromJsonArray) }}
{{- if $v.config }}
{{- $env = append $env (list "ENTRA_AUTH_CONFIG" "/etc/entra-auth/config/config.yaml") }}
{{- else }}
{{- $env = concat $env (include "entra-auth-envoy.envOfOne" . | fromJsonArray) }}
{{- end }}
{{- range $env }}
{{- $value := index . 1 | default "" | toString | trim }}
{{- if or $value (eq (index . 0) "DRAIN_SECONDS") }}
- name: {{ index . 0 }}
  value: {{ $value | default "0" | quote }}
{{- end }}
{{- end }}
{{- with $v.telemetry.otlp.headers.existingSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $v.telemetry.otlp.headers.key }}
{{- end }}
{{- with $v.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What is sent by OTLP, but for the headers, which come from a Secret; as JSON. */}}
{{- define "entra-auth-envoy.envOfTelemetry" -}}
{{- $v := .Values }}
{{- $t := $v.telemetry }}
{{- $attributes := list }}
{{- range $key, $value := $t.resourceAttributes }}
{{- $pair := list }}
{{- range list $key $value }}
{{- $pair = append $pair (. | replace "%" "%25" | replace "," "%2C" | replace "=" "%3D" | replace ";" "%3B") }}
{{- end }}
{{- $attributes = append $attributes (join "=" $pair) }}
{{- end }}
{{- toJson (list
  (list "OTEL_SERVICE_NAME" $v.otelServiceName)
  (list "OTEL_GRPC_ENDPOINT" $v.otelGrpcEndpoint)
  (list "OTEL_EXPORTER_OTLP_ENDPOINT" $t.otlp.endpoint)
  (list "OTEL_EXPORTER_OTLP_PROTOCOL" $t.otlp.protocol)
  (list "OTEL_METRICS_EXPORTER" (ternary "" "none" $t.metrics))
  (list "OTEL_TRACES_EXPORTER" (ternary "" "none" $t.traces))
  (list "OTEL_LOGS_EXPORTER" (ternary "otlp" "" $t.logs))
  (list "OTEL_RESOURCE_ATTRIBUTES" (join "," $attributes))
  (list "OTEL_TRACES_SAMPLER" $t.sampler)
  (list "OTEL_TRACES_SAMPLER_ARG" (toString $t.samplerArg))
  (list "OTEL_METRIC_EXPORT_INTERVAL" (toString $t.metricExportInterval))
  (list "OLD_METRIC_NAMES" (ternary "" "off" $t.oldMetricNames))
) }}
{{- end }}

{{/* What names one identity and one target, in place of a file; as JSON. */}}
{{- define "entra-auth-envoy.envOfOne" -}}
{{- $v := .Values }}
{{- $headers := $v.overrideRequestHeaders | default "" }}
{{- if kindIs "map" $headers }}
{{- $headers = toJson $headers }}
{{- end }}
{{- $env := list
  (list "TARGET_HOST" $v.targetHost)
  (list "AUDIENCE" $v.audience)
  (list "AZURE_CLOUD" $v.azureCloud)
  (list "LISTENING_PORT" (int $v.listeningPort))
  (list "LISTENING_ADDRESS" $v.listeningAddress)
  (list "IDENTITY_TYPE" (include "entra-auth-envoy.identityType" .))
  (list "AAD_CLIENT_ID" $v.aadClientId)
  (list "AAD_TENANT_ID" $v.aadTenantId)
  (list "AAD_OBJECT_ID" $v.aadObjectId)
  (list "AAD_RESOURCE_ID" $v.aadResourceId)
  (list "MANAGED_IDENTITY_CLIENT_ID" $v.managedIdentityClientId)
  (list "TSIAM_ENDPOINT" $v.tsiamEndpoint)
  (list "AAD_TOKEN_REFRESH_INTERVAL_IN_PERCENTAGE" (coalesce $v.aadTokenRefreshIntervalInPercentage $v.aadTokenRefreshIntervalInMinutes))
  (list "OVERRIDE_REQUEST_HEADERS" $headers)
  (list "AUTH_ERRORS_RETRYABLE" $v.authErrorsRetryable)
}}
{{- if $v.aadClientCertificatePath }}
{{- $env = append $env (list "AAD_CLIENT_CERTIFICATE_PATH" $v.aadClientCertificatePath) }}
{{- else if or $v.certificate.existingSecret $v.certificate.csi }}
{{- $at := $v.certificate.mountPath }}
{{- $env = append $env (list "AAD_CLIENT_CERTIFICATE_PATH" (printf "%s/%s" $at $v.certificate.file)) }}
{{- with $v.certificate.keyFile }}
{{- $env = append $env (list "AAD_CLIENT_CERTIFICATE_KEY_PATH" (printf "%s/%s" $at .)) }}
{{- end }}
{{- with $v.certificate.passwordFile }}
{{- $env = append $env (list "AAD_CLIENT_CERTIFICATE_PASSWORD_FILE" (printf "%s/%s" $at .)) }}
{{- end }}
{{- end }}
{{- if $v.clientSecret.existingSecret }}
{{- $env = append $env (list "AAD_CLIENT_SECRET_FILE" (printf "/etc/entra-auth/client-secret/%s" $v.clientSecret.file)) }}
{{- end }}
{{- if has "serviceaccounttoken" (include "entra-auth-envoy.identityTypes" . | fromJsonArray) }}
{{- $env = append $env (list "AZURE_FEDERATED_TOKEN_FILE" "/var/run/secrets/entra-auth/token") }}
{{- end }}
{{- toJson $env }}
{{- end }}
