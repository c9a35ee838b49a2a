"""An MCP server made with the Python SDK, of its first or its second line."""

from typing import TypedDict

try:
    from mcp.server.mcpserver import MCPServer
except ImportError:  # mcp 1.x
    from mcp.server.fastmcp import FastMCP as MCPServer

server = MCPServer("python-sdk")


class Sum(TypedDict):
    total: int


@server.tool()
def greet(name: str, loud: bool = False) -> str:
    """Greet somebody."""
    return f"HELLO {name.upper()}" if loud else f"hello {name}"


@server.tool()
def total(numbers: list[int]) -> Sum:
    """Sum up integers of any size."""
    return Sum(total=sum(numbers))


@server.tool()
def fail(reason: str) -> str:
    """Fail for a reason."""
    raise ValueError(reason)


if __name__ == "__main__":
    server.run()
