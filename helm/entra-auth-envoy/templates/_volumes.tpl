{{/* The files of the identity, and a place for the run's private directory: the root is read-only. */}}
{{- define "entra-auth-envoy.volumes" -}}
- name: tmp
  emptyDir:
    medium: Memory
    sizeLimit: 16Mi
{{- if .Values.config }}
- name: config
  configMap:
    name: {{ include "entra-auth-envoy.fullname" . }}
{{- end }}
{{- with .Values.certificate.existingSecret }}
- name: certificate
  secret:
    secretName: {{ . }}
    defaultMode: 288 # 0440
{{- end }}
{{- with .Values.certificate.csi }}
- name: certificate
  csi:
    {{- toYaml . | nindent 4 }}
{{- end }}
{{- with .Values.clientSecret.existingSecret }}
- name: client-secret
  secret:
    secretName: {{ . }}
    defaultMode: 288 # 0440
{{- end }}
{{- if has "serviceaccounttoken" (include "entra-auth-envoy.identityTypes" . | fromJsonArray) }}
- name: token
  projected:
    defaultMode: 288 # 0440
    sources:
      - serviceAccountToken:
          path: token
          audience: {{ include "entra-auth-envoy.tokenAudience" . }}
          expirationSeconds: {{ int .Values.serviceAccountToken.expirationSeconds }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "entra-auth-envoy.volumeMounts" -}}
- name: tmp
  mountPath: /tmp
{{- if .Values.config }}
- name: config
  mountPath: /etc/entra-auth/config
  readOnly: true
{{- end }}
{{- if or .Values.certificate.existingSecret .Values.certificate.csi }}
- name: certificate
  mountPath: {{ .Values.certificate.mountPath }}
  readOnly: true
{{- end }}
{{- if .Values.clientSecret.existingSecret }}
- name: client-secret
  mountPath: /etc/entra-auth/client-secret
  readOnly: true
{{- end }}
{{- if has "serviceaccounttoken" (include "entra-auth-envoy.identityTypes" . | fromJsonArray) }}
- name: token
  mountPath: /var/run/secrets/entra-auth
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}
