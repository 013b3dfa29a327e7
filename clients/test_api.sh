#!/bin/sh
# Tries a mesh with curl: health, a task with its status, result and stream, a chat; prints each call.
#
#   clients/test_api.sh http://127.0.0.1:8000 <API key>
#
# Ends with 0 when everything answered as it should. Needs curl.
set -eu

if [ $# -ne 2 ]; then
  sed -n '2,6p' "$0"
  exit 2
fi
case $1 in *://*) url=$1 ;; *) url=http://$1 ;; esac
key=$2

# call METHOD PATH [BODY]: prints the call, leaves the answer in $answer; ends with the answer where it is an error.
call() {
  echo "--- $1 $2 ${3:-}"
  if [ $# -eq 3 ]; then
    answer=$(curl -sS --fail-with-body -X "$1" -H "X-API-Key: $key" -H 'Content-Type: application/json' -d "$3" "$url$2") || fail "$answer"
  else
    answer=$(curl -sS --fail-with-body -X "$1" -H "X-API-Key: $key" "$url$2") || fail "$answer"
  fi
  echo "$answer"
}

fail() {
  echo "FAILED: $1" >&2
  exit 1
}

# member NAME: a text member of $answer.
member() {
  printf '%s' "$answer" | sed -n "s/.*\"$1\" *: *\"\([^\"]*\)\".*/\1/p"
}

call GET /health
call POST /generate '{"prompt": "The capital of France is", "max_tokens": 8}'
task=$(member task_id)
[ -n "$task" ] || fail "no task_id"
call GET "/status/$task"

echo "--- GET /stream/$task"
curl -sSN --fail --max-time 120 -H "X-API-Key: $key" "$url/stream/$task" || fail "the stream broke"

call GET "/result/$task"
[ "$(member status)" = completed ] || fail "the task has not completed"

call POST /generate '{"prompt": "A very long story:", "max_tokens": 2048}'
task=$(member task_id)
curl -sS -o /dev/null -X DELETE -H "X-API-Key: $key" "$url/tasks/$task"
call GET "/result/$task"

echo "--- the same with Authorization: Bearer"
curl -sS --fail-with-body -H "Authorization: Bearer $key" "$url/v1/models" || fail "the key was refused"
echo
call POST /v1/chat/completions '{"messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 8}'

echo "--- without a key"
status=$(curl -sS -o /dev/null -w '%{http_code}' "$url/v1/models")
[ "$status" = 401 ] || fail "a call without a key was answered with $status"
echo "all answered as they should"
