// SPDX-License-Identifier: Apache-2.0
// What the HTTP API answers.
#include "http/api_request.h"
#include "http_served.h"

using namespace trivet;
using namespace trivet::http_test;

TEST_CASE("rows come as JSON lines, as one array or as CSV, by parameter or by what is accepted") {
  Served served;
  const std::string sql = encoded("SELECT 1 AS one, 'a,\"b' AS text, NULL AS none, 2.0 AS real");
  const std::string lines = R"({"one":1,"text":"a,\"b","none":null,"real":2.0})";
  const std::string csv = "one,text,none,real\n1,\"a,\"\"b\",,2.0\n";
  struct Row {
    const char* format;
    const char* accept;
    const char* type;
    std::string body;
  };
  const Row rows[] = {
      {"", "", "application/x-ndjson", lines + "\n"},
      {"", "*/*", "application/x-ndjson", lines + "\n"},
      {"", "application/json", "application/json", "[\n" + lines + "\n]\n"},
      {"", "text/csv", "text/csv", csv},
      {"", "text/html, text/*;q=0.5", "text/csv", csv},
      {"", "application/json;q=0.1, text/csv;q=0.9, */*;q=0", "text/csv", csv},
      {"jsonl", "text/csv", "application/x-ndjson", lines + "\n"},
      {"json", "text/csv", "application/json", "[\n" + lines + "\n]\n"},
      {"csv", "application/json", "text/csv", csv},
  };
  for (const auto& row : rows) {
    CAPTURE(row.format);
    CAPTURE(row.accept);
    const std::string format = *row.format ? std::string("&format=") + row.format : "";
    const std::string accept = *row.accept ? std::string("Accept: ") + row.accept + "\r\n" : "";
    const auto answer = served.get("/v1/query?sql=" + sql + format, accept);
    CHECK(answer.status == 200);
    CHECK(answer.whole);
    CHECK(answer.says(std::string("\r\nContent-Type: ") + row.type + "\r\n"));
    CHECK(answer.body == row.body);
  }
  CHECK(served.get("/v1/query?sql=" + sql, "Accept: text/html\r\n").status == 406);
  // An answer without rows is whole in each format.
  CHECK(served.get("/v1/query?format=json&sql=" + encoded("SELECT 1 WHERE 0")).json() ==
        Json::array());
  CHECK(served.get("/v1/query?format=csv&sql=" + encoded("SELECT 1 AS a WHERE 0")).body == "a\n");
  CHECK(served.get("/v1/query?sql=" + encoded("SELECT 1 WHERE 0")).body.empty());
}

TEST_CASE("a statement is taken from the target, a form, JSON or the body itself") {
  Served served;
  CHECK(served.post("text/plain", "SELECT 7 AS a").body == "{\"a\":7}\n");
  CHECK(served.post("application/sql", "SELECT 7 AS a").body == "{\"a\":7}\n");
  CHECK(served.post("application/json", R"({"sql":"SELECT 7 AS a","timeout":2})").body ==
        "{\"a\":7}\n");
  CHECK(served.post("application/x-www-form-urlencoded", "format=csv&sql=SELECT+7+AS+%61").body ==
        "a\n7\n");
  CHECK(served.post("application/json", R"({"sql":5})").json()["error"]["message"] ==
        "\"sql\" in the body must be a text");
  CHECK(served.post("text/plain", std::string("SELECT 1\0, 2", 12)).status == 400);
  const auto wrong = served.post("application/x-www-form-urlencoded", "SELECT 7");
  CHECK(wrong.status == 400);
  CHECK(wrong.json()["error"]["message"] ==
        "unknown parameter \"SELECT 7\": there are sql, format, timeout; a body that is the "
        "statement itself is of type text/plain");
}

TEST_CASE("what is wrong with a request is said in words, with its place in the statement") {
  Served served;
  struct Row {
    std::string target;
    int status;
    std::string message;  // its beginning
    int position;
  };
  const Row rows[] = {
      {"/v1/query?sql=" + encoded("SELECT pth FROM http_requests"), 400,
       "no such column: pth (at character 8): did you mean path?", 8},
      {"/v1/query?sql=" + encoded("SELECT * FROM alrts"), 400, "no such table: alrts", 0},
      {"/v1/query?sql=" + encoded("DELETE FROM alerts"), 400,
       "table alerts may not be modified: a query only reads", 0},
      {"/v1/query?sql=" + encoded("SELECT 1;SELECT 2"), 400, "a query is one statement", 0},
      {"/v1/query", 400, "sql is missing", 0},
      {"/v1/query?sql=SELECT+1&timeout=soon", 400, "timeout must be a number of seconds", 0},
      {"/v1/query?sql=SELECT+1&format=xml", 400, "format must be jsonl, json or csv", 0},
      {"/v1/query?sql=%GG", 400, "a % in a parameter begins a byte in hexadecimal", 0},
      {"/v1/query?sq=SELECT+1", 400, "unknown parameter \"sq\"", 0},
      {"/v1/query?timeout=0.2&sql=" + encoded("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i "
                                              "+ 1 FROM n) SELECT max(i) FROM n"),
       503, "the query took longer than 0.2 s", 0},
      {"/v1/query?sql=" + encoded("SELECT printf('%.*c', 40000000, 'x')"), 422,
       "a row of the answer is larger than 33 MiB", 0},
      {"/v1/stream/alrts", 404, "no table is named \"alrts\": did you mean \"alerts\"?", 0},
      {"/v1/stream/alerts?backlog=-1", 400, "backlog must be a number from 0 to 4096", 0},
      {"/v1/querry", 404, "there is nothing at /v1/querry: did you mean /v1/query?", 0},
      {"/nonsense", 404, "there is nothing at /nonsense: / lists what there is", 0},
  };
  for (const auto& row : rows) {
    CAPTURE(row.target);
    const auto answer = served.get(row.target);
    CHECK(answer.status == row.status);
    REQUIRE(answer.json().is_object());
    const auto error = answer.json()["error"];
    CAPTURE(error.dump());
    CHECK(error["message"].get<std::string>().starts_with(row.message));
    CHECK(error.value("position", 0) == row.position);
  }
  Client client(served.path());
  client.send("DELETE /v1/status HTTP/1.1\r\nHost: x\r\n\r\n");
  const auto answer = client.answer();
  CHECK(answer.status == 405);
  CHECK(answer.says("\r\nAllow: GET, HEAD\r\n"));
}

TEST_CASE("the index names every endpoint, and tables come from their declarations") {
  Served served;
  const auto index = served.get("/").json();
  CHECK(index["endpoints"].size() == endpoints().size());
  CHECK(served.get("/v1/version").json()["version"] == index["trivet"]);
  CHECK(served.get("/v1/status").json()["version"] == "x");

  const auto tables = served.get("/v1/tables").json()["tables"];
  std::vector<std::string> names;
  std::size_t columns = 0;
  for (const auto& table : tables) {
    names.push_back(table["name"]);
    columns += table["columns"].size();
  }
  CHECK(names == std::vector<std::string>{"alerts", "flows", "http_requests", "columns"});
  const auto counted = served.get("/v1/query?sql=" + encoded("SELECT count(*) AS n FROM columns"));
  CHECK(counted.lines().at(0)["n"] == columns);
}

TEST_CASE("requests follow each other on one connection, also before they are answered") {
  Served served;
  Client client(served.path());
  client.send(
      "GET /v1/version HTTP/1.1\r\nHost: x\r\n\r\n"
      "HEAD /v1/version HTTP/1.1\r\nHost: x\r\n\r\n"
      "GET /v1/query?sql=SELECT+1+AS+a HTTP/1.1\r\nHost: x\r\n\r\n"
      "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const auto first = client.answer();
  CHECK(first.status == 200);
  CHECK(first.says("\r\nConnection: keep-alive\r\n"));
  // The same head, no body.
  const std::string rest = client.raw();
  CHECK(rest.find("\r\n\r\nHTTP/1.1 200 OK\r\n") != rest.npos);
  CHECK(rest.find("8\r\n{\"a\":1}\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n") != rest.npos);
  CHECK(rest.find("Connection: close") != rest.npos);
}

TEST_CASE("a client of HTTP/1.0 gets an answer that ends with the connection") {
  Served served;
  Client client(served.path());
  client.send("GET /v1/query?sql=SELECT+1+AS+a HTTP/1.0\r\n\r\n");
  const auto answer = client.answer();
  CHECK(!answer.says("chunked"));
  CHECK(answer.body == "{\"a\":1}\n");
}

TEST_CASE("a client that asks for leave to send its body gets it") {
  Served served;
  Client client(served.path());
  client.send(
      "POST /v1/query HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n"
      "Expect: 100-continue\r\n\r\n");
  CHECK(client.answer().head == "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("SELECT 1 AS a");
  CHECK(client.answer().body == "{\"a\":1}\n");
}

TEST_CASE("a stream begins with the backlog and goes on with new records") {
  Served served;
  for (const char* rule : {"one", "two", "three"}) served.add_alert(rule);
  Client client(served.path());
  client.get("/v1/stream/alerts?backlog=2");
  REQUIRE(client.take_head());
  std::string text = client.chunks_until("\"three\"");
  served.add_alert("four");
  text += client.chunks_until("\"four\"");
  std::istringstream lines(text);
  std::vector<std::string> rules;
  for (std::string line; std::getline(lines, line);) rules.push_back(Json::parse(line)["rule"]);
  CHECK(rules == std::vector<std::string>{"two", "three", "four"});
}
