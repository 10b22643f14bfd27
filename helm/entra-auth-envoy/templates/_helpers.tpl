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

{{/* In lower case, because the launcher takes it in any. */}}
{{- define "entra-auth-envoy.identityType" -}}
{{- .Values.identityType | trim | lower }}
{{- end }}

{{/* What must hold between values: a schema sees them one by one. */}}
{{- define "entra-auth-envoy.check" -}}
{{- if eq (int .Values.listeningPort) (int .Values.statusPort) }}
{{- fail (printf "listeningPort and statusPort are both %d: give two different ports" (int .Values.statusPort)) }}
{{- end }}
{{- with .Values.terminationGracePeriodSeconds }}
{{- if le (int .) (int $.Values.drainSeconds) }}
{{- fail (printf "terminationGracePeriodSeconds is %d, but drainSeconds is %d: the proxy would be killed while it drains; give more" (int .) (int $.Values.drainSeconds)) }}
{{- end }}
{{- end }}
{{- if and .Values.certificate.existingSecret .Values.certificate.csi }}
{{- fail "certificate.existingSecret and certificate.csi are both set: keep one" }}
{{- end }}
{{- end }}
