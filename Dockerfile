FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

# The lock is complete, so nothing is resolved: --no-deps keeps label-studio-ml's stale pins (Flask 1.1.2) out.
COPY requirements.txt ./
RUN pip install --no-deps --require-hashes -r requirements.txt

COPY pyproject.toml README.md LICENSE ./
COPY backend ./backend
COPY prompts ./prompts
RUN pip install --no-deps -e .

RUN useradd --create-home prelabel && mkdir /data && chown prelabel /data
USER prelabel
ENV DATABASE_URL=sqlite:////data/prelabel.sqlite3
VOLUME /data
EXPOSE 9090

CMD ["prelabel", "serve", "--host", "0.0.0.0", "--port", "9090"]
