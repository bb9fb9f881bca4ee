"""Word lists the invented account is made of."""

from __future__ import annotations

FIRST = (
    "María", "José", "Carmen", "Antonio", "Ana", "Manuel", "Laura", "Francisco", "Lucía", "David",
    "Isabel", "Javier", "Cristina", "Daniel", "Marta", "Ángel", "Elena", "Miguel", "Rocío",
    "Íñigo", "Begoña", "Rubén", "Nuria", "Óscar", "Sònia", "Joaquín", "Inés", "Raúl", "Amparo",
    "Vicent",
)  # fmt: skip
LAST = (
    "García", "Martínez", "López", "Sánchez", "Pérez", "Gómez", "Fernández", "Ruiz", "Díaz",
    "Muñoz", "Álvarez", "Romero", "Navarro", "Torres", "Gil", "Serrano", "Blanco", "Molina",
    "Ortega", "Ibáñez", "Soler", "Ferrer", "Castelló", "Peñalver", "Núñez", "Güell", "Llopis",
    "Vidal", "Marín", "Peris",
)  # fmt: skip
TRADE = (
    "Climatizaciones", "Talleres", "Hostelería", "Panadería", "Clínica Dental", "Construcciones",
    "Frutas", "Muebles", "Autoescuela", "Farmacia", "Gimnasio", "Librería", "Bodegas", "Cerámicas",
    "Inmobiliaria", "Transportes", "Restaurante", "Óptica", "Supermercados", "Peluquería",
)  # fmt: skip
FORM = (
    "SL", "S.L.", "SA", "S.L.U.", "SLP", "S.Coop.", "CB",
)  # fmt: skip
STREET = (
    "Calle Colón", "Avenida del Puerto", "Plaza Mayor", "Calle San Vicente", "Gran Vía",
    "Carrer Major", "Calle de la Paz", "Camino Viejo", "Polígono Industrial El Romeral",
    "Paseo Marítimo", "Ronda Norte", "Calle Peñíscola",
)  # fmt: skip
TOWN = (  # town, province, postal code, latitude, longitude
    ("València", "Valencia", "46004", 39.4699, -0.3763),
    ("Alacant/Alicante", "Alicante", "03001", 38.3452, -0.4810),
    ("Castelló de la Plana", "Castellón", "12001", 39.9864, -0.0513),
    ("Murcia", "Murcia", "30001", 37.9922, -1.1307),
    ("Torrevieja", "Alicante", "03181", 37.9787, -0.6822),
    ("Gandia", "Valencia", "46701", 38.9680, -0.1815),
    ("Albacete", "Albacete", "02001", 38.9943, -1.8585),
    ("A Coruña", "A Coruña", "15001", 43.3623, -8.4115),
    ("Ávila", "Ávila", "05001", 40.6565, -4.7000),
    ("Madrid", "Madrid", "28013", 40.4168, -3.7038),
)  # fmt: skip
ARTICLE = (
    "Filtro de aire", "Caldera de condensación", "Split 1x1", "Termostato", "Bomba de calor",
    "Válvula", "Tubería de cobre 15 mm", "Radiador", "Compresor", "Gas refrigerante R32",
    "Placa electrónica", "Ventilador", "Grifo monomando", "Cable 3x2,5 mm²",
    "Interruptor diferencial", "Luminaria LED",
)  # fmt: skip
LABOUR = (
    "Mano de obra oficial", "Desplazamiento", "Revisión anual", "Puesta en marcha",
    "Limpieza de filtros", "Carga de gas", "Mantenimiento preventivo", "Urgencia fuera de horario",
)  # fmt: skip
JOB = (
    "Instalación de climatización", "Sustitución de caldera", "Reparación de fuga",
    "Revisión de la comunidad", "Ampliación de potencia", "Reforma de baño", "Mantenimiento anual",
    "Suministro de material",
)  # fmt: skip
BREAKDOWN = (
    "No enfría", "Pierde agua por la unidad interior", "Hace ruido al arrancar",
    "Salta el diferencial", "Error E4 en pantalla", "No hay agua caliente", "Olor a gas",
    "El mando no responde",
)  # fmt: skip
DEVICE = (
    "Caldera", "Split salón", "Enfriadora", "Bomba de calor", "Termo eléctrico",
    "Caja de ventilación",
)  # fmt: skip
BRAND = (
    "Daikin", "Vaillant", "Mitsubishi Electric", "Saunier Duval", "Fujitsu", "Ariston",
)  # fmt: skip
POSITION = (
    "Gerente", "Administración", "Jefa de compras", "Encargado", "Mantenimiento", "Presidente",
    "Conserje",
)  # fmt: skip
VISIT = (
    "Visita comercial", "Revisión", "Llamada de seguimiento", "Instalación", "Cobro pendiente",
    "Formación",
)  # fmt: skip
EXPENSE = (
    "Combustible", "Dieta equipo", "Peaje AP-7", "Material de oficina", "Aparcamiento",
)  # fmt: skip

_PLAIN = str.maketrans("áéíóúüñçàèòÁÉÍÓÚÜÑÀÈÒ", "aeiouuncaeoAEIOUUNAEO")


def slug(text: str) -> str:
    """A name as it stands in an e-mail address: no accents, no spaces."""
    return "".join(letter for letter in text.translate(_PLAIN).lower() if letter.isalnum())
