{{/* The cloud that a name, an authority, an audience or a target's host means; empty where it says
     nothing about it. As the launcher knows them (token-core/src/cloud.rs, envoy/src/settings/clouds.rs). */}}
{{- define "entra-auth-envoy.cloudOf" -}}
{{- $said := . | default "" | toString | trim | lower }}
{{- $host := regexReplaceAll "[/:].*$" ($said | trimPrefix "https://" | trimPrefix "http://") "" | trimSuffix "." }}
{{- if has $said (list "public" "azurecloud" "azurepubliccloud" "azurepublic") }}
{{- "public" }}
{{- else if has $said (list "usgovernment" "azureusgovernment" "azureusgovernmentcloud" "azuregovernment") }}
{{- "usgovernment" }}
{{- else if has $said (list "china" "azurechinacloud" "azurechina") }}
{{- "china" }}
{{- else if regexMatch `(^|\.)(monitor\.azure\.us|applicationinsights(\.azure)?\.us|login\.microsoftonline\.us|login\.usgovcloudapi\.net)$` $host }}
{{- "usgovernment" }}
{{- else if regexMatch `(^|\.)(monitor\.azure\.cn|applicationinsights\.azure\.cn|login\.chinacloudapi\.cn|login\.partner\.microsoftonline\.cn)$` $host }}
{{- "china" }}
{{- else if regexMatch `(^|\.)(monitor\.azure\.com|applicationinsights\.azure\.com|services\.visualstudio\.com|api\.applicationinsights\.io|login\.microsoftonline\.com|login\.microsoft\.com|(login|sts)\.windows\.net)$` $host }}
{{- "public" }}
{{- end }}
{{- end }}

{{/* The clouds of the identities whose token is projected, each once; as JSON. */}}
{{- define "entra-auth-envoy.tokenClouds" -}}
{{- $clouds := list }}
{{- if .Values.config }}
{{- range $identity := .Values.config.identities }}
{{- if eq (lower .type) "serviceaccounttoken" }}
{{- $said := list .cloud .authority }}
{{- range $.Values.config.targets }}
{{- if eq (.identity | default "") ($identity.name | default "") }}
{{- $said = concat $said (list .audience .url) }}
{{- end }}
{{- end }}
{{- $clouds = append $clouds (include "entra-auth-envoy.firstCloud" $said | default "public") }}
{{- end }}
{{- end }}
{{- else }}
{{- $clouds = list (include "entra-auth-envoy.cloudOfOne" . | default "public") }}
{{- end }}
{{- toJson (uniq $clouds) }}
{{- end }}

{{/* The cloud of the one identity and target that stand in place of `config`; empty where nothing that
     the chart can read says it. */}}
{{- define "entra-auth-envoy.cloudOfOne" -}}
{{- $said := list .Values.azureCloud }}
{{- range .Values.extraEnv }}
{{- if has .name (list "AZURE_CLOUD" "AZURE_AUTHORITY_HOST") }}
{{- $said = append $said .value }}
{{- end }}
{{- end }}
{{- include "entra-auth-envoy.firstCloud" (concat $said (list .Values.audience .Values.targetHost)) }}
{{- end }}

{{/* The first cloud that is said, empty where none is; where they differ the launcher refuses them. */}}
{{- define "entra-auth-envoy.firstCloud" -}}
{{- $clouds := list }}
{{- range . }}
{{- $clouds = append $clouds (include "entra-auth-envoy.cloudOf" .) }}
{{- end }}
{{- first (append (compact $clouds) "") }}
{{- end }}

{{/* What Entra of each cloud wants federated tokens to be for. */}}
{{- define "entra-auth-envoy.tokenAudience" -}}
{{- $ofCloud := dict "public" "api://AzureADTokenExchange" "usgovernment" "api://AzureADTokenExchangeUSGov" "china" "api://AzureADTokenExchangeChina" }}
{{- $clouds := include "entra-auth-envoy.tokenClouds" . | fromJsonArray }}
{{- .Values.serviceAccountToken.audience | default (get $ofCloud (first $clouds)) }}
{{- end }}
