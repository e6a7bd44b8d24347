# Stands in for ollama/ollama: the stub of the tests behind the program's own commands.
FROM python:3.12-slim-bookworm
COPY tests /opt/stub/tests
COPY ollama.py /bin/ollama
RUN chmod -R a+rX /opt/stub && chmod 755 /bin/ollama
ENV OLLAMA_HOST=0.0.0.0:11434
EXPOSE 11434
ENTRYPOINT ["/bin/ollama"]
CMD ["serve"]
