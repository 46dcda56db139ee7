// The sink that a piece of configuration describes.

import type { PushSink } from '../audit/push-sink.ts';
import type { PushSettings } from '../config.ts';
import { createSyslogSink } from './syslog-sink.ts';
import { createWebhookSink } from './webhook-sink.ts';

export function createSink(settings: PushSettings): PushSink {
  const timeoutMs = settings.timeout_s * 1000;
  if (settings.kind === 'http') {
    const { url, format, token_file: tokenFile, ca_file: caFile, gzip } = settings;
    return createWebhookSink({ url, format, tokenFile, caFile, gzip, timeoutMs });
  }
  const { host, port, tls, facility, enterprise, confirm } = settings;
  return createSyslogSink({
    host,
    port,
    tls:
      tls === null
        ? null
        : {
            caFile: tls.ca_file,
            certificateFile: tls.certificate_file,
            keyFile: tls.key_file,
            serverName: tls.server_name,
          },
    facility,
    enterprise,
    confirm,
    timeoutMs,
  });
}
