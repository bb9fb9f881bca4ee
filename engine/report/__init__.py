"""What people look at: one document of a run, and its forms in terminal, page and files.

Door: document.build, terminal.show, page.write_html.
"""
