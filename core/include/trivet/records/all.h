// SPDX-License-Identifier: Apache-2.0
// Every record type there is: what tables are made of, and what the documentation describes.
#pragma once

#include <array>

#include "trivet/records/alert.h"
#include "trivet/records/connection.h"
#include "trivet/records/dns_request.h"
#include "trivet/records/flow.h"
#include "trivet/records/grpc_request.h"
#include "trivet/records/http_message.h"
#include "trivet/records/http_request.h"
#include "trivet/records/mysql_request.h"
#include "trivet/records/postgresql_request.h"
#include "trivet/records/redis_request.h"
#include "trivet/records/tls_handshake.h"

namespace trivet {

inline auto all_record_schemas() {
  return std::to_array<const RecordSchema*>(
      {&Alert::schema(), &HttpRequest::schema(), &HttpMessage::schema(), &GrpcRequest::schema(),
       &RedisRequest::schema(), &PostgresqlRequest::schema(), &MysqlRequest::schema(),
       &DnsRequest::schema(), &TlsHandshake::schema(), &Connection::schema(), &Flow::schema()});
}

}  // namespace trivet
