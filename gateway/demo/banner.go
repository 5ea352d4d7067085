package demo

import "strings"

// Banner says where the demo is, and what to do with it.
func Banner(addr string) string {
	return strings.NewReplacer("{url}", "http://"+hosts(addr)[0]+path, "{user}", username, "{password}", password).Replace(banner)
}

const banner = `
The demo is running. It is an MCP server, the toolbox, behind the gateway:

    {url}

Add it to a client:

    Claude Code    claude mcp add --transport http toolbox {url}
                   then start claude, type /mcp, choose toolbox and Authenticate
    VS Code        code --add-mcp '{"name":"toolbox","type":"http","url":"{url}"}'
                   then start the server "toolbox" and allow it to sign in
    MCP Inspector  npx @modelcontextprotocol/inspector
                   then choose Streamable HTTP, enter the URL above and Connect

What to click when the browser opens:

    1. Tick what the client may do, and click Allow.
    2. Click Sign in. User {user} and password {password} are filled in already.
    3. Back in the client, ask for a tool that you did not tick: it is refused,
       and the client may ask you for more.

Everything is kept in memory and on this machine. Ctrl-C ends it.

`
