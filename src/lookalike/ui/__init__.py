"""The browser apps of ``lookalike ui`` and ``lookalike judge``; only this package knows Streamlit.

launching    how a script becomes a local server: what may be uploaded, who may connect, nothing sent home
choices      the runs that can be opened
thumbnails   small pictures, made when they are first shown
tiles        a grid of pictures to click, as HTML, CSS and JavaScript of our own
text         words that become no markup
contest      what two runs answer to one query, side by side
app          the search page: Streamlit runs this file
judge_app    the judging page: Streamlit runs this file
"""
