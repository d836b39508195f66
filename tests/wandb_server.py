"""A W&B server on the loopback, in memory: just enough for the real client to log its runs.

It answers what wandb 0.31 asks, remembers what arrives, and knows a run again when it is resumed.
Of sweeps it knows grids: `wandb agent` gets their trials, one after the other.
"""

import base64
import contextlib
import dataclasses
import http.server
import itertools
import json
import re
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

import yaml


@dataclasses.dataclass
class Run:
  """What the server has received of one run; `sessions` counts how often it was opened."""

  about: dict[str, Any] = dataclasses.field(default_factory=dict)  # groupName, jobType, tags ...
  config: dict[str, Any] = dataclasses.field(default_factory=dict)
  rows: list[dict[str, Any]] = dataclasses.field(default_factory=list)
  summary: dict[str, Any] = dataclasses.field(default_factory=dict)
  files: dict[str, bytes] = dataclasses.field(default_factory=dict)
  exit_code: int | None = None
  sessions: int = 0


class Server(http.server.ThreadingHTTPServer):
  """`runs` maps run ids to what has come, `sweeps`, `trials` and `views` those of theirs."""

  daemon_threads = True
  request_queue_size = 128  # one connection per run, all at once

  def __init__(self):
    super().__init__(('127.0.0.1', 0), _Handler)
    self.url = f'http://127.0.0.1:{self.server_address[1]}'
    self.runs: dict[str, Run] = {}
    self.sweeps: dict[str, str] = {}
    self.trials: dict[str, list[dict[str, Any]]] = {}
    self.views: dict[str, dict[str, Any]] = {}
    self.lock = threading.Lock()
    self.answers = threading.Event()  # cleared, it takes requests and says nothing
    self.answers.set()
    self.key: str | None = None  # the only one that it takes; None for any

  @property
  def lanes(self) -> dict[str, Run]:
    """The runs of lanes, by id."""
    return {name: run for name, run in self.runs.items() if run.about['jobType'] == 'lane'}

  def handle_error(self, request: Any, client_address: Any) -> None:
    """Says nothing: the client drops its open connections when it ends."""


@contextlib.contextmanager
def serve() -> Iterator[Server]:
  """Runs a server on a free port of 127.0.0.1 for the length of the block."""
  with Server() as server:
    thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.05})
    thread.start()
    try:
      yield server
    finally:
      server.answers.set()
      server.shutdown()
      thread.join()


class _Handler(http.server.BaseHTTPRequestHandler):
  protocol_version = 'HTTP/1.1'

  def log_message(self, *_: Any) -> None:
    pass

  def do_POST(self) -> None:
    body = json.loads(self._body())
    self.server.answers.wait()
    if self._is_refused():
      self._reply({'errors': [{'message': 'permission denied'}]}, status=401)
      return
    with self.server.lock:
      if self.path == '/graphql':
        found = re.search(r'(?:query|mutation)\s+(\w+)', body['query'])
        operation = found.group(1) if found else 'Viewer'  # the one that comes without a name
        answer = {'data': _answer(self.server, operation, body.get('variables') or {})}
      else:
        _receive_stream(self.server.runs[self.path.split('/')[4]], body)
        answer = {}
    self._reply(answer)

  def _is_refused(self) -> bool:
    key = self.server.key
    login = base64.b64encode(f'api:{key}'.encode()).decode()
    return key is not None and self.headers.get('authorization') != f'Basic {login}'

  def do_PUT(self) -> None:
    _, _, run, name = self.path.split('/', 3)
    self.server.runs[run].files[urllib.parse.unquote(name)] = self._body()
    self._reply({})

  def _body(self) -> bytes:
    return self.rfile.read(int(self.headers.get('content-length') or 0))

  def _reply(self, answer: Any, status: int = 200) -> None:
    content = json.dumps(answer).encode()
    self.send_response(status)
    self.send_header('content-type', 'application/json')
    self.send_header('content-length', str(len(content)))
    self.end_headers()
    self.wfile.write(content)


def _answer(server: Server, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
  project = {'id': 'project', 'name': variables.get('project'), 'entity': {'name': 'tester'}}
  match operation:
    case 'Viewer':
      return {'viewer': {'id': 'user', 'entity': 'tester', 'username': 'tester', 'flags': '{}'}}
    case 'RunResumeStatus':
      return {'model': {**project, 'bucket': _bucket_to_resume(server, variables['name'])}}
    case 'UpsertBucket':
      return {'upsertBucket': {'bucket': _upsert(server, variables, project), 'inserted': True}}
    case 'CreateRunFiles':
      run, names = variables['run'], variables['files']
      urls = [{'name': name, 'uploadUrl': f'{server.url}/upload/{run}/{name}'} for name in names]
      return {'createRunFiles': {'runID': run, 'uploadHeaders': [], 'files': urls}}
    case 'ArtifactType':
      return {'project': {'artifact': None}}
    case 'CreateArtifact':  # "committed": its files are there already and need not be sent
      artifact = {'id': 'artifact', 'state': 'COMMITTED', 'artifactSequence': {'id': 'sequence'}}
      return {'createArtifact': {'artifact': artifact}}
    case 'UpsertSweep':
      found = {'name': _begin_sweep(server, variables['config']), 'project': project}
      return {'upsertSweep': {'sweep': found, 'configValidationWarnings': []}}
    case 'SweepWithRuns':
      config = server.sweeps[variables['sweep']]
      found = {'id': 'id', 'name': variables['sweep'], 'config': config, 'runs': {'edges': []}}
      return {'project': {'sweep': found}}
    case 'CreateAgent':
      return {'createAgent': {'agent': {'id': variables['sweep']}}}
    case 'Heartbeat':
      waiting = server.trials[variables['id']]
      is_busy = any(json.loads(variables['runState']).values())
      commands = [] if is_busy else [waiting.pop(0) if waiting else {'type': 'exit'}]
      return {'agentHeartbeat': {'commands': json.dumps(commands)}}
    case 'GetDefaultEntity':
      return {'viewer': {'id': 'user', 'entity': 'tester'}}
    case 'GetProjects':
      page = {'endCursor': None, 'hasNextPage': False}
      return {'models': {'pageInfo': page, 'edges': _projects(server)}}
    case 'ProjectInternalId':
      known = variables['projectName'] in _project_names(server)
      return {'project': {'id': 'project', 'internalId': 'internal'} if known else None}
    case 'UpsertView2' | 'upsertView':  # of a workspace, and of a report
      return {'upsertView': {'view': _upsert_view(server, variables), 'inserted': True}}
    case _:
      return {}


def _begin_sweep(server: Server, config: str) -> str:
  """Returns the id of a sweep whose trials are the grid over its parameters."""
  name = f'sweep{len(server.sweeps)}'
  server.sweeps[name], sweep = config, yaml.safe_load(config)
  values = [each['values'] for each in sweep['parameters'].values()]
  server.trials[name] = [
    {
      'type': 'run',
      'run_id': f'{name}-trial{i}',
      'program': sweep['program'],
      'args': {key: {'value': v} for key, v in zip(sweep['parameters'], trial, strict=True)},
    }
    for i, trial in enumerate(itertools.product(*values))
  ]
  return name


def _project_names(server: Server) -> set[str]:
  return {run.about['project'] for run in server.runs.values()}


def _projects(server: Server) -> list[dict[str, Any]]:
  about = {'entityName': 'tester', 'createdAt': '2026', 'isBenchmark': False, 'user': None}
  return [{'node': {'id': 'project', 'name': name, **about}} for name in _project_names(server)]


def _upsert_view(server: Server, sent: dict[str, Any]) -> dict[str, Any]:
  """Takes a view in, or replaces the one of its id; one whose id is not known is refused."""
  view = sent.get('id') or f'view{len(server.views)}'
  if sent.get('id') and view not in server.views:
    return {}
  server.views[view] = sent
  project = {'id': 'project', 'name': sent['projectName'], 'entityName': sent['entityName']}
  kept = ('name', 'type', 'displayName', 'description', 'spec')
  return {'id': view, 'project': project, 'updatedAt': None, **{name: sent[name] for name in kept}}


def _upsert(server: Server, sent: dict[str, Any], project: dict[str, Any]) -> dict[str, Any]:
  run = server.runs.setdefault(sent['name'], Run())
  run.sessions += sent['groupName'] is not None  # later upserts only update the config
  run.about |= {key: value for key, value in sent.items() if value is not None}
  config = json.loads(sent['config'] or '{}')
  run.config |= {key: item['value'] for key, item in config.items() if key != '_wandb'}
  return {'id': f'id-{sent["name"]}', 'name': sent['name'], 'project': project}


def _bucket_to_resume(server: Server, name: str) -> dict[str, Any] | None:
  if name not in server.runs:
    return None
  run = server.runs[name]
  return {
    'id': f'id-{name}',
    'name': name,
    'displayName': run.about.get('displayName'),
    'tags': run.about.get('tags', []),
    'config': json.dumps({key: {'value': value} for key, value in run.config.items()}),
    'wandbConfig': '{"t": 1}',
    'summaryMetrics': json.dumps(run.summary),
    **dict.fromkeys(('logLineCount', 'eventsLineCount'), 0),
    'eventsTail': '[]',
    'historyTail': json.dumps([json.dumps(row) for row in run.rows[-1:]]),
    'historyLineCount': len(run.rows),
  }


def _receive_stream(run: Run, body: dict[str, Any]) -> None:
  files = body.get('files') or {}
  if history := files.get('wandb-history.jsonl'):
    run.rows[history['offset'] :] = [json.loads(line) for line in history['content']]
  for line in files.get('wandb-summary.json', {}).get('content', []):
    run.summary = json.loads(line)
  if body.get('complete'):
    run.exit_code = body['exitcode']
