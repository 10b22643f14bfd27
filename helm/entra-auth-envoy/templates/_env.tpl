{{/* The launcher's environment: README.md, "Settings". An empty value leaves the variable out. */}}
{{- define "entra-auth-envoy.env" -}}
{{- $v := .Values }}
{{- $type := include "entra-auth-envoy.identityType" . }}
{{- $certificate := or $v.certificate.existingSecret $v.certificate.csi }}
{{- $headers := $v.overrideRequestHeaders | default "" }}
{{- if kindIs "map" $headers }}
{{- $headers = toJson $headers }}
{{- end }}
{{- $env := list
  (list "TARGET_HOST" $v.targetHost)
  (list "AUDIENCE" $v.audience)
  (list "AZURE_CLOUD" $v.azureCloud)
  (list "LISTENING_PORT" (int $v.listeningPort))
  (list "STATUS_PORT" (int $v.statusPort))
  (list "PROXY_HEALTH_PATHS" (ternary "" "off" $v.proxyHealthPaths))
  (list "IDENTITY_TYPE" $v.identityType)
  (list "AAD_CLIENT_ID" $v.aadClientId)
  (list "AAD_TENANT_ID" $v.aadTenantId)
  (list "AAD_OBJECT_ID" $v.aadObjectId)
  (list "AAD_RESOURCE_ID" $v.aadResourceId)
  (list "MANAGED_IDENTITY_CLIENT_ID" $v.managedIdentityClientId)
  (list "TSIAM_ENDPOINT" $v.tsiamEndpoint)
  (list "AAD_TOKEN_REFRESH_INTERVAL_IN_PERCENTAGE" (coalesce $v.aadTokenRefreshIntervalInPercentage $v.aadTokenRefreshIntervalInMinutes))
  (list "OVERRIDE_REQUEST_HEADERS" $headers)
  (list "AUTH_ERRORS_RETRYABLE" $v.authErrorsRetryable)
  (list "DRAIN_SECONDS" (int $v.drainSeconds))
  (list "LOG_LEVEL" $v.logLevel)
  (list "ACCESS_LOG" $v.accessLog)
  (list "OTEL_SERVICE_NAME" $v.otelServiceName)
  (list "OTEL_GRPC_ENDPOINT" $v.otelGrpcEndpoint)
}}
{{- if $v.aadClientCertificatePath }}
{{- $env = append $env (list "AAD_CLIENT_CERTIFICATE_PATH" $v.aadClientCertificatePath) }}
{{- else if $certificate }}
{{- $env = append $env (list "AAD_CLIENT_CERTIFICATE_PATH" (printf "%s/%s" $v.certificate.mountPath $v.certificate.file)) }}
{{- end }}
{{- if and $certificate $v.certificate.keyFile }}
{{- $env = append $env (list "AAD_CLIENT_CERTIFICATE_KEY_PATH" (printf "%s/%s" $v.certificate.mountPath $v.certificate.keyFile)) }}
{{- end }}
{{- if and $certificate $v.certificate.passwordFile }}
{{- $env = append $env (list "AAD_CLIENT_CERTIFICATE_PASSWORD_FILE" (printf "%s/%s" $v.certificate.mountPath $v.certificate.passwordFile)) }}
{{- end }}
{{- if $v.clientSecret.existingSecret }}
{{- $env = append $env (list "AAD_CLIENT_SECRET_FILE" (printf "/etc/entra-auth/client-secret/%s" $v.clientSecret.file)) }}
{{- end }}
{{- if eq $type "serviceaccounttoken" }}
{{- $env = append $env (list "AZURE_FEDERATED_TOKEN_FILE" "/var/run/secrets/entra-auth/token") }}
{{- end }}
{{- range $env }}
{{- $value := index . 1 | default "" | toString | trim }}
{{- if or $value (eq (index . 0) "DRAIN_SECONDS") }}
- name: {{ index . 0 }}
  value: {{ $value | default "0" | quote }}
{{- end }}
{{- end }}
{{- if (($v.resources).limits).memory }}
- name: MEMORY_LIMIT
  valueFrom:
    resourceFieldRef:
      resource: limits.memory
{{- end }}
{{- with $v.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
