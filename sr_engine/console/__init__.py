"""The console for people, at /console: pages made here, which work without JavaScript and better with it."""
