{{/* What must hold between values, and what is easier said here than by a schema. The launcher would
     refuse all of it, too, but only once a pod runs. */}}
{{- define "entra-auth-envoy.check" -}}
{{- $v := .Values }}
{{- if not $v.image.repository }}
{{- fail "image.repository is empty: push the image of `make images` to a registry and say where it is" }}
{{- end }}
{{- if $v.config }}
{{- include "entra-auth-envoy.checkFile" . }}
{{- else }}
{{- if not $v.targetHost }}
{{- fail "targetHost is empty: say to which host requests go, or give a whole configuration file in config" }}
{{- end }}
{{- include "entra-auth-envoy.checkIdentity" . }}
{{- include "entra-auth-envoy.checkHeaders" $v.overrideRequestHeaders }}
{{- end }}
{{- range include "entra-auth-envoy.ports" . | fromJsonArray }}
{{- if eq (int .container) (int $v.statusPort) }}
{{- fail (printf "statusPort is %d, as %s is: give two different ports" (int $v.statusPort) (ternary "a listener of config" "listeningPort" (not (empty $v.config)))) }}
{{- end }}
{{- end }}
{{- with $v.terminationGracePeriodSeconds }}
{{- if le (int .) (int $v.drainSeconds) }}
{{- fail (printf "terminationGracePeriodSeconds is %d, but drainSeconds is %d: the proxy would be killed while it drains; give more" (int .) (int $v.drainSeconds)) }}
{{- end }}
{{- end }}
{{- range include "entra-auth-envoy.addresses" . | fromJsonArray }}
{{- if include "entra-auth-envoy.isLoopback" .address }}
{{- fail (printf "%s is %s, where neither the Service nor the kubelet's probes reach it: leave it out; beside its client in one pod the proxy runs as a container of that pod (docs/guides/images.md)" .name .address) }}
{{- end }}
{{- end }}
{{- if and (has "serviceaccounttoken" (include "entra-auth-envoy.identityTypes" . | fromJsonArray)) (not $v.serviceAccountToken.audience) }}
{{- $clouds := include "entra-auth-envoy.tokenClouds" . | fromJsonArray }}
{{- if gt (len $clouds) 1 }}
{{- fail (printf "the identities of type serviceAccountToken in config are in several clouds (%s), and the projected token is for one: say which by serviceAccountToken.audience, and mount one for the others by extraVolumes, with tokenFile" (join ", " $clouds)) }}
{{- end }}
{{- if not (or $v.config (include "entra-auth-envoy.cloudOfOne" .)) }}
{{- range $n, $variable := $v.extraEnv }}
{{- if has .name (list "AZURE_CLOUD" "AZURE_AUTHORITY_HOST") }}
{{- $unread := ternary "valueFrom" (.value | default "") (hasKey . "valueFrom") }}
{{- if or (eq $unread "valueFrom") (contains "$(" $unread) }}
{{- fail (printf "extraEnv[%d] sets %s by %s, which the chart cannot read, and the projected token's audience follows from it: give the text itself in value, or set azureCloud or serviceAccountToken.audience" $n .name $unread) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- if and $v.prometheusRule.enabled (not $v.prometheusRule.runbooks) }}
{{- fail "prometheusRule.runbooks is empty: give the address at which your people read docs/runbooks.md, which each alert links" }}
{{- end }}
{{- if and $v.certificate.existingSecret $v.certificate.csi }}
{{- fail "certificate.existingSecret and certificate.csi are both set: keep one" }}
{{- end }}
{{- end }}

{{/* Whether an address is 127.0.0.0/8, ::1, or the former in IPv6 (::ffff:0:0/96), in any of the spellings
     of RFC 4291, section 2.2. All but the last groups are zeros there, with or without `::`. */}}
{{- define "entra-auth-envoy.isLoopback" -}}
{{- $address := lower . | trimPrefix "[" | trimSuffix "]" }}
{{- $one := `[0:]*:(0{0,3}1|0\.0\.0\.1)` }}
{{- $mapped := `[0:]*:ffff:(127\..*|7f[0-9a-f]{2}:[0-9a-f]{1,4})|(0{1,4}:){5}ffff:7f[0-9a-f]{2}::` }}
{{- if regexMatch (printf `^(127\..*|%s|%s)$` $one $mapped) $address }}
{{- "yes" }}
{{- end }}
{{- end }}

{{- define "entra-auth-envoy.checkFile" -}}
{{- $said := list "targetHost" "identityType" "aadClientId" "aadTenantId" "aadClientCertificatePath" "audience" "aadTokenRefreshIntervalInPercentage" "aadTokenRefreshIntervalInMinutes" "overrideRequestHeaders" "listeningAddress" "aadObjectId" "aadResourceId" "azureCloud" "managedIdentityClientId" "tsiamEndpoint" "authErrorsRetryable" }}
{{- range $said }}
{{- if index $.Values . }}
{{- fail (printf "%s is set beside config, which says it in its file: remove it" .) }}
{{- end }}
{{- end }}
{{- end }}

{{- define "entra-auth-envoy.checkIdentity" -}}
{{- $v := .Values }}
{{- $known := list "systemAssigned" "userAssigned" "aadApplication" "workloadIdentity" "serviceAccountToken" "managedIdentityFederated" "tsiam" }}
{{- $said := include "entra-auth-envoy.identityType" . }}
{{- $type := lower $said }}
{{- if not $type }}
{{- fail (printf "identityType is empty: aad-auth-proxy tried several; say which, e.g. workloadIdentity, of %s" (join ", " $known)) }}
{{- else if not (has $type (splitList " " (join " " $known | lower))) }}
{{- fail (printf "identityType is %q, which is unknown: say one of %s" $said (join ", " $known)) }}
{{- end }}
{{- $needed := list }}
{{- if has $type (list "aadapplication" "serviceaccounttoken" "managedidentityfederated") }}
{{- $needed = list "aadClientId" "aadTenantId" }}
{{- else if eq $type "tsiam" }}
{{- $needed = list "tsiamEndpoint" }}
{{- else if and (eq $type "workloadidentity") $v.serviceAccount.create (not (hasKey ($v.serviceAccount.annotations | default dict) "azure.workload.identity/client-id")) }}
{{- $needed = list "aadClientId" }}
{{- end }}
{{- range $needed }}
{{- if not (index $v .) }}
{{- fail (printf "%s is empty, but identityType is %s: set it" . $said) }}
{{- end }}
{{- end }}
{{- if eq $type "userassigned" }}
{{- $ids := compact (list $v.aadClientId $v.aadObjectId $v.aadResourceId) }}
{{- if ne (len $ids) 1 }}
{{- fail (printf "identityType is %s, and %d of aadClientId, aadObjectId and aadResourceId are set: set one" $said (len $ids)) }}
{{- end }}
{{- end }}
{{- if eq $type "aadapplication" }}
{{- $certificate := or $v.aadClientCertificatePath $v.certificate.existingSecret $v.certificate.csi }}
{{- $byVariable := $v.extraEnvFrom }}
{{- range $v.extraEnv }}
{{- $byVariable = or $byVariable (has .name (list "AAD_CLIENT_SECRET_FILE" "AAD_CLIENT_CERTIFICATE_PATH" "TOKEN_SIDECAR_SOCKET")) }}
{{- end }}
{{- if and $certificate $v.clientSecret.existingSecret }}
{{- fail "clientSecret.existingSecret and a certificate are both set: keep one" }}
{{- end }}
{{- if not (or $certificate $v.clientSecret.existingSecret $byVariable) }}
{{- fail (printf "identityType is %s, but there is neither certificate nor clientSecret: set certificate.existingSecret, certificate.csi, aadClientCertificatePath or clientSecret.existingSecret" $said) }}
{{- end }}
{{- end }}
{{- end }}

{{/* As the launcher has it (docs/reference/settings.md). */}}
{{- define "entra-auth-envoy.checkHeaders" -}}
{{- $headers := . | default dict }}
{{- if kindIs "string" $headers }}
{{- $text := $headers }}
{{- $headers = fromJson $text }}
{{- if and (hasKey $headers "Error") (not (contains `"Error"` $text)) }}
{{- fail (printf "overrideRequestHeaders is no JSON object: %s" $headers.Error) }}
{{- end }}
{{- end }}
{{- $decided := list "authorization" "host" "connection" "content-length" "expect" "http2-settings" "keep-alive" "proxy-authenticate" "proxy-authorization" "proxy-connection" "te" "trailer" "transfer-encoding" "upgrade" "x-prometheus-remote-write-version" }}
{{- range $name, $value := $headers }}
{{- if or (has (lower $name) $decided) (hasPrefix "x-envoy-" (lower $name)) }}
{{- fail (printf "overrideRequestHeaders names %s, which the proxy sets itself: remove it" $name) }}
{{- end }}
{{- if not (kindIs "string" $value) }}
{{- fail (printf "overrideRequestHeaders gives %s a value that is no text: put it in quotes" $name) }}
{{- end }}
{{- end }}
{{- end }}
