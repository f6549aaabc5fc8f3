"""The sign/verify service: messages are signed and verified over HTTP, by the API of the DCC Boxed signing tool."""
