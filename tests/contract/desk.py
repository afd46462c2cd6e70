"""What a desk is asked for."""

RICHIESTA = {
    "ufficio": "edilizia",
    "servizio": "SCIA",
    "oggetto": "SCIA per opere interne, pratica {unico}",
    "riferimento": "prova-{unico}",
    "protocollo": "2026/{unico}",
}
