"""A FastAPI app of one's own that reads digits. (The studio is one, too: `downstroke studio --read-only`.)

uvicorn --app-dir examples fastapi_app:app
curl -F picture=@note.jpg http://127.0.0.1:8000/read
"""

from functools import cache

from fastapi import FastAPI, HTTPException, UploadFile

from downstroke import PictureError, Reader

app = FastAPI()
reader = cache(Reader.shipped)  # the weights are loaded once, at the first request


@app.post("/read")
def read(picture: UploadFile) -> dict:
    """Not async: FastAPI runs it in a thread, and other requests are answered meanwhile."""
    content = picture.file.read(20_000_001)
    if len(content) > 20_000_000:
        raise HTTPException(413, "expected a picture of at most 20 MB")
    try:
        reading = reader().read(content)
    except PictureError as error:
        raise HTTPException(422, str(error)) from None
    return {"text": reading.text, "refused": reading.refused, "lines": reading.to_dict()["lines"]}
