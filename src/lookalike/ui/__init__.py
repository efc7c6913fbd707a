"""The browser apps of ``lookalike ui`` and ``lookalike judge``; only this package knows Streamlit.

server       how a script becomes a local server: what may be uploaded, who may connect, nothing sent home
thumbnails   small pictures, made when they are first shown
tiles        a grid of pictures to click, as HTML, CSS and JavaScript of our own
app          the search page: Streamlit runs this file
judging      blind pairs in a seeded order, answers on the disk, a win rate
judge_app    the judging page: Streamlit runs this file
"""
