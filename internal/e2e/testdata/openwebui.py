"""Answers one request per line of standard input as Open WebUI would.

The package open-webui is imported from where pip put it, but only the modules
named in REAL are its own: those between a chat and a tool server. The rest of
it (database, retrieval, models) stands behind names that do nothing, and what
these modules ask of it is answered in `furnish`.

    {"do": "session", "user": U, "life": "4w"}            a session token of that user
    {"do": "list", "connections": [C]}                    the tools of the whole instance
    {"do": "chat", "connections": [C], "user": U, "credential": T}
                                                          the tools of U's chat
    ... "name": N, "arguments": "{}"                      and what the model reads after a call

U has id, email, name and role; C is a connection as the administrator's page
stores it; T is what the chat came with in its Authorization header. Keys and
switches are in the environment, as for the whole program.
"""

import asyncio
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import json
import logging
import os
import sys
import tempfile
import types
from unittest.mock import MagicMock

PACKAGE = 'open_webui'
REAL = {
    f'{PACKAGE}.{name}'
    for name in (
        'constants env utils utils.access_control utils.auth utils.chat_id utils.headers utils.json_codec'
        ' utils.middleware utils.misc utils.tool_search utils.tools'
    ).split()
}
# Other packages that these modules import and that the calls below never use.
ABSENT = ('aiocache', 'bcrypt', 'bs4', 'langchain_core', 'markdown', 'redis', 'requests', 'sqlalchemy')


class Nothing(types.ModuleType):
    """A module in which every name is there and does nothing."""

    __path__ = []

    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        value = MagicMock(name=f'{self.__name__}.{name}')
        setattr(self, name, value)
        return value


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives Nothing for what is neither in REAL nor needed."""

    def find_spec(self, name, path=None, target=None):
        top = name.partition('.')[0]
        if top in ABSENT or (top == PACKAGE and name not in REAL):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return Nothing(spec.name)

    def exec_module(self, module):
        pass


def find_package():
    """Puts the package in place without its __init__, which wants everything."""
    spec = importlib.util.find_spec(PACKAGE)
    sys.modules[PACKAGE] = importlib.util.module_from_spec(spec)
    sys.meta_path.insert(0, Finder())


class Settings:
    """The settings of the instance, which are in the database otherwise."""

    def __init__(self):
        self.values = {'user.permissions': {}}

    async def get(self, key, default=None):
        return self.values.get(key, default)


async def give(value):
    return value


def furnish():
    """Answers what the real modules ask of the rest, and returns the settings."""
    settings = Settings()

    def put(module, **names):
        for name, value in names.items():
            setattr(importlib.import_module(f'{PACKAGE}.{module}'), name, value)

    put('models.config', Config=settings)
    put('config', BYPASS_ADMIN_ACCESS_CONTROL=True, DEFAULT_USER_PERMISSIONS={})
    put('models.users', UserModel=types.SimpleNamespace)
    groups = types.SimpleNamespace(get_groups_by_member_id=lambda *_, **__: give([]))
    put('models.groups', Groups=groups)
    put('models.tools', Tools=types.SimpleNamespace(get_tools_by_ids=lambda ids: give({})))
    put('events', publish_event=lambda *_, **__: give(None))
    put(
        'utils.mfa',
        get_auth=lambda user_id: give(types.SimpleNamespace(session_stamp='stamp')),
        get_mfa_config=lambda: give(None),
        is_mfa_required=lambda *_: False,
    )
    return settings


def incoming(credential):
    """The request of the chat, as far as the real modules look at it. The
    browser has the credential in a cookie, too."""
    state = types.SimpleNamespace(redis=None)
    return types.SimpleNamespace(
        app=types.SimpleNamespace(state=state),
        state=types.SimpleNamespace(token=types.SimpleNamespace(credentials=credential)),
        cookies={'token': credential},
        headers={},
    )


class Instance:
    def __init__(self):
        find_package()
        self.settings = furnish()
        for name in ('auth', 'middleware', 'tools'):
            setattr(self, name, importlib.import_module(f'{PACKAGE}.utils.{name}'))
        # The package logs to standard output, where the answers go.
        logging.basicConfig(stream=sys.stderr, level=logging.WARNING, force=True)

    async def session(self, asked):
        self.settings.values['auth.jwt_expiry'] = asked['life']
        user = types.SimpleNamespace(**asked['user'])
        auth = types.SimpleNamespace(session_stamp='stamp')
        return await self.auth.create_session_response(incoming(''), user, auth=auth)

    async def list(self, asked):
        return {'servers': await self.tools.get_tool_servers_data(asked['connections'])}

    async def chat(self, asked):
        self.settings.values['tool_server.connections'] = asked['connections']
        request = incoming(asked.get('credential', ''))
        user = types.SimpleNamespace(**asked['user'])
        metadata = {'chat_id': 'chat', 'message_id': 'message'}
        ids = [f'server:{connection["info"]["id"]}' for connection in asked['connections']]
        tools = await self.tools.get_tools(request, ids, user, {'__metadata__': metadata})
        answer = {'tools': [tool['spec'] for tool in tools.values()]}
        if 'name' in asked:
            answer['call'] = await self.call(request, user, {**metadata, 'tools': tools}, asked)
        return answer

    async def call(self, request, user, metadata, asked):
        """One tool call of the model: what was sent, and what it reads then."""
        wanted = {'id': 'call', 'function': {'name': asked['name'], 'arguments': asked['arguments']}}
        steps = self.middleware
        sent, result, _, kind, direct = await steps.execute_tool_call({'messages': []}, metadata, None, wanted)
        text, files, _ = await steps.process_tool_result(
            request, asked['name'], result, kind, direct, metadata, user
        )
        text = steps.tool_result_content(text)
        return {'sent': sent, 'text': text, 'failed': steps._is_tool_result_error(text), 'files': files}


async def main():
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # so that nothing else gets between the answers
    with tempfile.TemporaryDirectory() as folder:
        os.environ['DATA_DIR'] = folder
        instance = Instance()
        for line in sys.stdin:
            asked = json.loads(line)
            print(json.dumps(await getattr(instance, asked['do'])(asked)), file=answers, flush=True)


if __name__ == '__main__':
    asyncio.run(main())
